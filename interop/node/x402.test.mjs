// x402's official packages and ours in every combination: who pays, who serves, who settles. Prints a table of what was tried.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { ExactEvmScheme as ExactClient } from "@x402/evm";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { UptoEvmScheme as UptoClient } from "@x402/evm/upto/client";
import { UptoEvmScheme as UptoServer } from "@x402/evm/upto/server";
import { paymentMiddleware, setSettlementOverrides, x402ResourceServer } from "@x402/express";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { x402Client, x402HTTPClient } from "@x402/fetch";
import { decodePaymentRequiredHeader } from "@x402/core/http";
import { appendPaymentIdentifierToExtensions, generatePaymentId, isPaymentIdentifierExtension } from "@x402/extensions/payment-identifier";
import { createSIWxPayload, encodeSIWxHeader } from "@x402/extensions/sign-in-with-x";
import express from "express";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { startOfficialFacilitator } from "./official-facilitator.mjs";
import { ended, question, startReady, startWorld } from "./world.mjs";

const NETWORK = "eip155:84532";
const table = [];
const stops = [];
let world;
let ours; // our facilitator's URL
let theirs; // and the official one's

const rpc = async (method, params) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const answer = await (await fetch(world.info.rpc, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
  return answer.result;
};
const giveGas = (address) => rpc("anvil_setBalance", [address, "0x8ac7230489e80000"]);
const listen = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));

/** Our facilitator, as its user starts it. */
async function startOurs() {
  const home = mkdtempSync(join(tmpdir(), "gridtie-facilitator-"));
  const config = join(home, "facilitator.yaml");
  writeFileSync(
    config,
    `port: 0\nchains:\n  - rpc: "${world.info.rpc}"\n    network: "${NETWORK}"\n    token: "${world.info.asset}"\n    tokenName: USDC\n    tokenVersion: "2"\n    decimals: 6\n    signingKeys: 2\n`,
  );
  const { child, ready } = startReady(["facilitator", "--config", config, "--home", home]);
  const url = await ready;
  const { signers } = await (await fetch(url + "/supported")).json();
  for (const address of signers["eip155:*"]) await giveGas(address);
  stops.push(async () => {
    child.kill("SIGTERM");
    await ended(child);
    rmSync(home, { recursive: true, force: true });
  });
  return url;
}

/** The official facilitator. */
async function startTheirs() {
  const facilitator = await startOfficialFacilitator(world.info.rpc, generatePrivateKey());
  await giveGas(facilitator.address);
  stops.push(facilitator.close);
  return facilitator.url;
}

/** The official Express middleware in front of an answer, that settles at one of the two. */
async function startExpress(facilitator, scheme) {
  const resources = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitator }))
    .register(NETWORK, new ExactServer())
    .register(NETWORK, new UptoServer());
  const permit2 = { amount: "1000", asset: world.info.asset, extra: { name: "USDC", version: "2", assetTransferMethod: "permit2" } };
  const price = scheme === "exact by Permit2" ? permit2 : "$0.001";
  const accepts = { scheme: scheme.startsWith("exact") ? "exact" : "upto", network: NETWORK, payTo: world.info.payTo, price, maxTimeoutSeconds: 60 };
  const app = express();
  app.use(paymentMiddleware({ "GET /answer": { accepts: [accepts], description: "an answer" } }, resources));
  app.get("/answer", (_, response) => {
    if (scheme === "upto") setSettlementOverrides(response, { amount: "400" });
    response.json({ answer: 42 });
  });
  const server = createServer(app);
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  return (await listen(server)) + "/answer";
}

before(async () => {
  world = await startWorld();
  ours = await startOurs();
  theirs = await startTheirs();
  const imported = await world.run("wallet", "import", world.info.buyerKeyFile, "--plain");
  assert.equal(imported.status, 0, imported.output);
});
after(async () => {
  for (const stop of stops.reverse()) await stop();
  await world?.stop();
  const rows = ["| scheme | client | server | facilitator | |", "|---|---|---|---|---|", ...table.map((row) => `| ${row.join(" | ")} |`)];
  console.log("\n" + rows.join("\n"));
  if (process.env.GRIDTIE_MATRIX) writeFileSync(process.env.GRIDTIE_MATRIX, rows.join("\n") + "\n");
});

const account = () => privateKeyToAccount(world.key);
const official = (scheme) =>
  wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: NETWORK, client: scheme === "upto" ? new UptoClient(account()) : new ExactClient(account()) }],
    paymentRequirementsSelector: (_, accepts) =>
      accepts.find((a) => (a.extra?.assetTransferMethod === "permit2") === (scheme === "exact by Permit2")) ?? accepts[0],
  });

async function spentBy(work) {
  const start = await world.balance();
  const result = await work();
  return [result, start - (await world.balance())];
}

const chat = (more) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question("What is a receipt?", more)) });

for (const scheme of ["exact by EIP-3009", "exact by Permit2", "upto"]) {
  test(`${scheme}: the official client at our gateway, whole and streamed`, async () => {
    for (const stream of [false, true]) {
      const [response, spent] = await spentBy(async () => {
        const answer = await official(scheme)(world.url + "/v1/chat/completions", chat({ stream, max_tokens: 400 }));
        return { status: answer.status, headers: answer.headers, text: await answer.text() };
      });
      assert.equal(response.status, 200, response.text);
      assert.match(response.text, stream ? /data: \[DONE\]/ : /signed record/);
      const comment = response.text.match(/^: PAYMENT-RESPONSE (\S+)$/m)?.[1];
      assert.equal(comment !== undefined, stream && scheme === "upto");
      const settled = decodePaymentResponseHeader(comment ?? response.headers.get("PAYMENT-RESPONSE"));
      assert.equal(settled.success, true);
      assert.equal(BigInt(settled.amount), spent);
      // What is asked is at most 408 tokens; what was used is some fifty.
      if (scheme === "upto") assert.ok(spent < 400n, `${spent} was taken`);
    }
    table.push([scheme, "official TypeScript", "ours", "ours, embedded", "pays, streams"]);
  });

  for (const [name, facilitator] of [["ours", () => ours], ["official TypeScript", () => theirs]]) {
    test(`${scheme}: both clients at the official Express server, settled by the facilitator that is ${name}`, async () => {
      const url = await startExpress(facilitator(), scheme);
      const expected = scheme === "upto" ? 400n : 1000n;
      const [response, spent] = await spentBy(() => official(scheme)(url));
      assert.equal(response.status, 200, await response.clone().text());
      assert.equal((await response.json()).answer, 42);
      assert.equal(spent, expected);
      table.push([scheme, "official TypeScript", "official Express", name, "pays"]);

      const [called, spentByUs] = await spentBy(() => world.run("call", url));
      assert.equal(called.status, 0, called.output);
      assert.match(called.output, /"answer":42/);
      assert.match(called.output, /settled 0x/);
      assert.equal(spentByUs, expected);
      table.push([scheme, "ours", "official Express", name, "pays"]);
    });
  }
}

test("our client at our gateway, by every scheme, and within its limits", async () => {
  const url = world.url + "/v1/chat/completions";
  const body = JSON.stringify(question("What is x402?", { max_tokens: 400 }));
  for (const scheme of ["exact", "upto"]) {
    const [called, spent] = await spentBy(() => world.run("call", url, "-d", body, "--scheme", scheme));
    assert.equal(called.status, 0, called.output);
    assert.match(called.output, /402/);
    assert.ok(spent > 0n);
    table.push([scheme, "ours", "ours", "ours, embedded", "pays"]);
  }
  for (const limit of [["--max-usd", "0.000001"], ["--network", "eip155:8453"], ["--pay-to", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"]]) {
    const [refused, nothing] = await spentBy(() => world.run("call", url, "-d", body, ...limit));
    assert.equal(refused.status, 1);
    assert.match(refused.output, /not paid/);
    assert.equal(nothing, 0n);
  }
});

test("the official client signs in, and our gateway takes its balance", async () => {
  const url = world.url + "/v1/chat/completions";
  const pays = await official("exact by EIP-3009")(url, chat({ max_tokens: 900 }));
  assert.equal(pays.status, 200);
  const [response, spent] = await spentBy(async () => {
    const unpaid = await fetch(url, chat({ max_tokens: 60 }));
    const required = decodePaymentRequiredHeader(unpaid.headers.get("PAYMENT-REQUIRED"));
    const extension = required.extensions["sign-in-with-x"];
    const info = { ...extension.info, ...extension.supportedChains.find((c) => c.type === "eip191") };
    const header = encodeSIWxHeader(await createSIWxPayload(info, account(), url));
    const request = chat({ max_tokens: 60 });
    request.headers["SIGN-IN-WITH-X"] = header;
    return fetch(url, request);
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  assert.match(text, /signed record/);
  assert.equal(spent, 0n);
  const [called, nothing] = await spentBy(() => world.run("call", url, "-d", JSON.stringify(question("What is x402?", { max_tokens: 60 })), "--balance"));
  assert.equal(called.status, 0, called.output);
  assert.equal(nothing, 0n);
});

test("the official client names its payment, and pays once for it", async () => {
  const url = world.url + "/v1/chat/completions";
  const id = generatePaymentId();
  const once = async () => {
    const client = new x402Client().register(NETWORK, new ExactClient(account()));
    const api = new x402HTTPClient(client);
    const unpaid = await fetch(url, chat({ max_tokens: 61 }));
    const required = api.getPaymentRequiredResponse((name) => unpaid.headers.get(name), await unpaid.json());
    assert.equal(isPaymentIdentifierExtension(required.extensions["payment-identifier"]), true);
    appendPaymentIdentifierToExtensions(required.extensions, id);
    const payload = await client.createPaymentPayload(required);
    const request = chat({ max_tokens: 61 });
    Object.assign(request.headers, api.encodePaymentSignatureHeader(payload));
    return (await fetch(url, request)).text();
  };
  const [first, spent] = await spentBy(once);
  assert.match(first, /signed record/);
  assert.ok(spent > 0n);
  const [second, nothing] = await spentBy(once);
  assert.equal(second, first);
  assert.equal(nothing, 0n);
});

test("the official facilitator client understands what ours says it supports", async () => {
  const supported = await new HTTPFacilitatorClient({ url: ours }).getSupported();
  assert.deepEqual(supported.kinds.map((k) => `${k.x402Version} ${k.scheme} ${k.network}`).sort(), [`1 exact base-sepolia`, `2 exact ${NETWORK}`, `2 upto ${NETWORK}`]);
  assert.equal(supported.signers["eip155:*"].length, 2);
});
