// The same on a second EVM: hardhat's node, with our contracts at their canonical addresses. The official client pays our gateway by every
// scheme, and what moved is what was said.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ExactEvmScheme, toClientEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { createPublicClient, encodeFunctionData, http, parseAbi } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { ended, question, startReady } from "./world.mjs";

const NETWORK = "eip155:84532";
const USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
const PLACES = {
  TestUSDC: USDC,
  TestPermit2: PERMIT2,
  TestX402ExactProxy: "0x402085c248EeA27D92E8b30b2C58ed07f9E20001",
  TestX402UptoProxy: "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002",
  TestX402Batch: "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
  TestERC3009Collector: "0x4020806089470a89826cB9fB1f4059150b550004",
  TestPermit2Collector: "0x4020425FAf3B746C082C2f942b4E5159887B0005",
  TestMulticall3: "0xcA11bde05977b3631167028862bE2a173976CA11",
};
const FUNDS = 10_000_000n;
const coin = parseAbi([
  "function balanceOf(address) view returns (uint256)",
  "function mint(address,uint256)",
  "function approve(address,uint256) returns (bool)",
]);
const buyer = privateKeyToAccount(generatePrivateKey());
const payTo = privateKeyToAccount(generatePrivateKey()).address;
const stops = [];
let rpcUrl;
let url;

const ask = async (method, params) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const { result, error } = await (await fetch(rpcUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
};
const send = async (from, functionName, args) => {
  await ask("hardhat_impersonateAccount", [from]);
  await ask("hardhat_setBalance", [from, "0x8ac7230489e80000"]);
  await ask("eth_sendTransaction", [{ from, to: USDC, data: encodeFunctionData({ abi: coin, functionName, args }) }]);
};
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

async function startHardhat() {
  const here = new URL(".", import.meta.url).pathname;
  const port = await freePort();
  const child = spawn(
    process.execPath,
    ["node_modules/hardhat/internal/cli/bootstrap.js", "--config", "hardhat.config.cjs", "node", "--hostname", "127.0.0.1", "--port", String(port)],
    { cwd: here, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, HARDHAT_DISABLE_TELEMETRY_PROMPT: "true", CI: "true" } },
  );
  stops.push(async () => {
    child.kill("SIGKILL");
    await ended(child);
  });
  let output = "";
  await new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`hardhat ended with ${code}: ${output.slice(-1000)}`)));
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (d) => {
        output = (output + d).slice(-10_000);
        if (output.includes("Started HTTP")) resolve();
      });
  });
  rpcUrl = `http://127.0.0.1:${port}`;
}

before(async () => {
  await startHardhat();
  for (const [name, address] of Object.entries(PLACES)) {
    const { runtime } = JSON.parse(readFileSync(new URL(`../../contracts/${name}.json`, import.meta.url), "utf8"));
    await ask("hardhat_setCode", [address, runtime]);
  }
  await send(buyer.address, "mint", [buyer.address, FUNDS]);
  await send(buyer.address, "approve", [PERMIT2, 2n ** 256n - 1n]);
  const home = mkdtempSync(join(tmpdir(), "gridtie-hardhat-"));
  const model = new URL("../../models/tiny/gridtie-tiny-Q8_0.gguf", import.meta.url).pathname;
  writeFileSync(
    join(home, "gateway.yaml"),
    `port: 0
payTo: "${payTo}"
chain:
  rpc: "${rpcUrl}"
  network: "${NETWORK}"
  token: "${USDC}"
  tokenName: USDC
  tokenVersion: "2"
  decimals: 6
  schemes: [batch-settlement, exact, upto, exact-permit2]
models:
  - id: gridtie/tiny
    file: "${model}"
    quantization: Q8_0
    promptUsdPerMillion: "1"
    completionUsdPerMillion: "4"
    contextTokens: 1024
`,
  );
  const { child, ready } = startReady(["gateway", "--config", join(home, "gateway.yaml"), "--home", home]);
  let said = "";
  child.stdout.on("data", (d) => (said += d));
  stops.push(async () => {
    child.kill("SIGTERM");
    await ended(child);
    rmSync(home, { recursive: true, force: true });
  });
  url = (await ready) + "/v1/chat/completions";
  for (let i = 0; i < 100 && !/gas is paid by 0x/.test(said); i++) await new Promise((r) => setTimeout(r, 50));
  await ask("hardhat_setBalance", [said.match(/gas is paid by (0x[0-9a-fA-F]{40})/)[1], "0x8ac7230489e80000"]);
});
after(async () => {
  for (const stop of stops.reverse()) await stop();
});

const balance = (owner) => createPublicClient({ transport: http(rpcUrl) }).readContract({ address: USDC, abi: coin, functionName: "balanceOf", args: [owner] });
const chat = (more) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question("What is a receipt?", { max_tokens: 60, ...more })) });
const paying = (client, permit2 = false) =>
  wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: NETWORK, client }],
    paymentRequirementsSelector: (_, accepts) => accepts.find((a) => (a.extra?.assetTransferMethod === "permit2") === permit2) ?? accepts[0],
  });

for (const [name, client, permit2] of [
  ["exact by EIP-3009", () => new ExactEvmScheme(buyer)],
  ["exact by Permit2", () => new ExactEvmScheme(buyer), true],
  ["upto", () => new UptoEvmScheme(buyer)],
]) {
  test(`hardhat: ${name}`, async () => {
    const before = await balance(buyer.address);
    const earned = await balance(payTo);
    const answer = await paying(client(), permit2)(url, chat());
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    assert.match(text, /signed record/);
    const amount = BigInt(decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE")).amount);
    assert.equal(before - (await balance(buyer.address)), amount);
    assert.equal((await balance(payTo)) - earned, amount);
  });
}

test("hardhat: batch-settlement, from deposit to refund", async () => {
  const chain = createPublicClient({ chain: baseSepolia, transport: http(rpcUrl) });
  const scheme = new BatchSettlementEvmScheme(toClientEvmSigner(buyer, chain), { depositPolicy: { depositMultiplier: 10 } });
  const start = await balance(buyer.address);
  let used = 0n;
  for (let seed = 0; seed < 3; seed++) {
    const answer = await paying(scheme)(url, chat({ seed }));
    assert.equal(answer.status, 200, await answer.clone().text());
    used += BigInt(decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE")).extra.chargedAmount);
  }
  await scheme.refund(new URL("/v1/channel", url).href);
  assert.equal(start - (await balance(buyer.address)), used);
});
