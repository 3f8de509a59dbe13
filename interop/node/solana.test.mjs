// Scheme exact on Solana with x402's official packages: the real runtime and token program (litesvm) behind a JSON-RPC of our own.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { address, createKeyPairSignerFromPrivateKeyBytes, getAddressEncoder, getBase58Decoder, getProgramDerivedAddress } from "@solana/kit";
import { x402Facilitator } from "@x402/core/facilitator";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { toFacilitatorSvmSigner } from "@x402/svm";
import { ExactSvmScheme as ExactClient } from "@x402/svm/exact/client";
import { ExactSvmScheme as ExactFacilitator } from "@x402/svm/exact/facilitator";
import { ExactSvmScheme as ExactServer } from "@x402/svm/exact/server";
import express from "express";
import { serveFacilitator } from "./official-facilitator.mjs";
import { calledByPython, noPython, startPython } from "./python-peers.mjs";
import { ended, gridtie, question, startReady } from "./world.mjs";

const NETWORK = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
const MINT = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
const TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const ASSOCIATED = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";
const FUNDS = 10_000_000n;
const bridge = new URL("../../testkit/solana/", import.meta.url).pathname;
const missing = existsSync(join(bridge, "node_modules")) ? false : "testkit/solana/node_modules is missing: ./gridtie test fetches it";
const stops = [];
const table = [];
let rpcUrl;
let buyer;
let seller;
let gatewayUrl;
let ours;
let home;

const ask = async (method, ...params) => {
  const { result, error } = await (await fetch(rpcUrl, { method: "POST", body: JSON.stringify({ id: 1, method, params }) })).json();
  if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
};
const bytes = (a) => Buffer.from(getAddressEncoder().encode(address(a)));
async function accountOf(owner) {
  const seeds = [bytes(owner), bytes(TOKEN), bytes(MINT)];
  return (await getProgramDerivedAddress({ programAddress: address(ASSOCIATED), seeds }))[0];
}
async function fund(owner, amount) {
  const data = Buffer.alloc(165);
  bytes(MINT).copy(data, 0);
  bytes(owner).copy(data, 32);
  data.writeBigUInt64LE(amount, 64);
  data[108] = 1;
  await ask("test_setAccount", await accountOf(owner), TOKEN, data.toString("base64"), "10000000");
}
async function holds(owner) {
  const { value } = await ask("getAccountInfo", await accountOf(owner));
  return value === null ? 0n : Buffer.from(value.data[0], "base64").readBigUInt64LE(64);
}
const signer = (fill) => createKeyPairSignerFromPrivateKeyBytes(new Uint8Array(32).fill(fill));
const listen = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));
const chain = () =>
  `    rpc: "${rpcUrl}"\n    network: "${NETWORK}"\n    token: "${MINT}"\n    decimals: 6\n    payTo: "${seller.address}"\n`;

async function startGridtie(command, config) {
  const file = join(home, `${command}.yaml`);
  writeFileSync(file, config);
  const at = join(home, command);
  const { child, ready } = startReady([command, "--config", file, "--home", at]);
  let said = "";
  child.stdout.on("data", (d) => (said += d));
  stops.push(async () => {
    child.kill("SIGTERM");
    await ended(child);
  });
  const url = await ready;
  for (let i = 0; i < 100 && !/gas is paid by .*:/.test(said); i++) await new Promise((r) => setTimeout(r, 50));
  for (const one of said.match(/gas is paid by (.*):/)[1].split(" and ")) if (!one.startsWith("0x")) await ask("requestAirdrop", one, "1000000000");
  return url;
}

before(async () => {
  if (missing) return;
  home = mkdtempSync(join(tmpdir(), "gridtie-solana-"));
  const child = spawn(process.execPath, ["bridge.mjs", "0"], { cwd: bridge, stdio: ["ignore", "pipe", "inherit"] });
  stops.push(async () => {
    child.kill("SIGKILL");
    await ended(child);
  });
  const port = await new Promise((resolve) => child.stdout.on("data", (d) => resolve(String(d).match(/ready (\d+)/)[1])));
  rpcUrl = `http://127.0.0.1:${port}`;
  buyer = await signer(5);
  seller = await signer(6);
  const mint = Buffer.alloc(82);
  mint.writeBigUInt64LE(2n ** 62n, 36);
  mint[44] = 6;
  mint[45] = 1;
  await ask("test_setAccount", MINT, TOKEN, mint.toString("base64"), "10000000");
  await fund(buyer.address, FUNDS);
  await fund(seller.address, 0n);
  const model = new URL("../../models/tiny/gridtie-tiny-Q8_0.gguf", import.meta.url).pathname;
  gatewayUrl =
    (await startGridtie(
      "gateway",
      `port: 0\npayTo: "${seller.address}"\nchain:\n${chain()}models:\n  - id: gridtie/tiny\n    file: "${model}"\n    quantization: Q8_0\n    promptUsdPerMillion: "1"\n    completionUsdPerMillion: "4"\n    contextTokens: 1024\n`,
    )) + "/v1/chat/completions";
  ours = await startGridtie("facilitator", `port: 0\nchains:\n  -${chain().slice(3)}`);
});
after(async () => {
  for (const stop of stops.reverse()) await stop();
  if (home) rmSync(home, { recursive: true, force: true });
  console.log("\n" + table.map((row) => `| ${row.join(" | ")} |`).join("\n"));
});

const paying = () => wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: NETWORK, client: new ExactClient(buyer, { rpcUrl }) }] });

test("Solana: the official client at our gateway, whole and streamed", { skip: missing }, async () => {
  for (const stream of [false, true]) {
    const before = await holds(buyer.address);
    const earned = await holds(seller.address);
    const body = JSON.stringify(question("What is a receipt?", { max_tokens: 60, stream }));
    const answer = await paying()(gatewayUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    assert.match(text, stream ? /data: \[DONE\]/ : /signed record/);
    const settled = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE"));
    assert.equal(before - (await holds(buyer.address)), BigInt(settled.amount));
    assert.equal((await holds(seller.address)) - earned, BigInt(settled.amount));
  }
  table.push(["exact on Solana", "official TypeScript", "ours", "ours, embedded", "pays, streams"]);
});

/** x402's official facilitator, paying the fees from an account of its own. */
async function startOfficial() {
  const payer = await signer(7);
  await ask("requestAirdrop", payer.address, "1000000000");
  const facilitator = new x402Facilitator();
  facilitator.register(NETWORK, new ExactFacilitator(toFacilitatorSvmSigner(payer, { defaultRpcUrl: rpcUrl })));
  const { url, close } = await serveFacilitator(facilitator);
  stops.push(close);
  return url;
}

async function startExpress(facilitator) {
  const resources = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitator })).register(NETWORK, new ExactServer());
  const accepts = { scheme: "exact", network: NETWORK, payTo: seller.address, price: "$0.001", maxTimeoutSeconds: 60 };
  const app = express();
  app.use(paymentMiddleware({ "GET /answer": { accepts: [accepts], description: "an answer" } }, resources));
  app.get("/answer", (_, response) => response.json({ answer: 42 }));
  const server = createServer(app);
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  return (await listen(server)) + "/answer";
}

/** Our client, as a person runs it: the wallet is a file of its home. */
async function call(url, ...more) {
  const at = join(home, "client");
  if (!existsSync(at)) {
    await promisify(execFile)(gridtie, ["wallet", "new", "--plain", "--home", at]);
    writeFileSync(join(at, "keys", "wallet-solana.key"), getBase58Decoder().decode(new Uint8Array(32).fill(8)), { mode: 0o600 });
    await fund((await signer(8)).address, FUNDS);
  }
  const { stdout } = await promisify(execFile)(gridtie, ["call", url, ...more, "--solana-rpc", rpcUrl, "--solana-network", NETWORK, "--home", at]);
  return stdout;
}

/** A Flask server of the official Python package. */
const startFlask = async (facilitator) => (await startPython(stops, {}, "serve", "exact-solana", facilitator, seller.address, MINT)) + "/answer";
const seed = (fill) => Buffer.alloc(32, fill).toString("hex");

async function startSnake() {
  await ask("requestAirdrop", (await signer(9)).address, "1000000000");
  return startPython(stops, { GRIDTIE_KEY: seed(9) }, "facilitate-solana", rpcUrl);
}

const clients = {
  "official TypeScript": async (url) => {
    const answer = await paying()(url);
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.text();
  },
  "official Python": async (url) => {
    const [answer] = await calledByPython({ GRIDTIE_KEY: seed(5), GRIDTIE_RPC: rpcUrl }, "exact-solana", url);
    assert.equal(answer.status, 200, answer.text);
    return answer.text;
  },
  ours: call,
};
const facilitators = { ours: () => ours, "official TypeScript": startOfficial, "official Python": startSnake };
const servers = { "official Express": startExpress, "official Flask": startFlask };

for (const [facilitator, start] of Object.entries(facilitators))
  for (const [server, serve] of Object.entries(servers)) {
    const why = missing || (/Python|Flask/.test(facilitator + server) && noPython);
    test(`Solana: all clients at the ${server} server, settled by the facilitator that is ${facilitator}`, { skip: why }, async () => {
      const url = await serve(await start());
      for (const [client, get] of Object.entries(clients)) {
        if (client === "official Python" && noPython) continue;
        const earned = await holds(seller.address);
        assert.match(await get(url), /42/);
        assert.equal((await holds(seller.address)) - earned, 1000n);
        table.push(["exact on Solana", client, server, facilitator, "pays"]);
      }
    });
  }

test("Solana: our client at our gateway", { skip: missing }, async () => {
  const earned = await holds(seller.address);
  const body = JSON.stringify(question("What is a receipt?", { max_tokens: 60 }));
  assert.match(await call(gatewayUrl, "--data", body), /signed record/);
  assert.ok((await holds(seller.address)) > earned);
  table.push(["exact on Solana", "ours", "ours", "ours, embedded", "pays"]);
});

test("Solana: the official Python client at our gateway", { skip: missing || noPython }, async () => {
  const earned = await holds(seller.address);
  const [answer] = await calledByPython({ GRIDTIE_KEY: seed(5), GRIDTIE_RPC: rpcUrl }, "exact-solana", gatewayUrl, JSON.stringify(question("What is a receipt?", { max_tokens: 60 })));
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await holds(seller.address)) - earned, BigInt(answer.settled.amount));
  table.push(["exact on Solana", "official Python", "ours", "ours, embedded", "pays"]);
});
