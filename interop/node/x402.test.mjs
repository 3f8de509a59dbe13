// x402's official packages and ours in every combination: who pays, who serves, who settles. Prints a table of what was tried.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { ExactEvmScheme as ExactClient } from "@x402/evm";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { BatchSettlementEvmScheme as BatchClient } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as BatchServer } from "@x402/evm/batch-settlement/server";
import { toClientEvmSigner } from "@x402/evm";
import { UptoEvmScheme as UptoClient } from "@x402/evm/upto/client";
import { UptoEvmScheme as UptoServer } from "@x402/evm/upto/server";
import { paymentMiddleware, setSettlementOverrides, x402ResourceServer } from "@x402/express";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { x402Client, x402HTTPClient } from "@x402/fetch";
import { decodePaymentRequiredHeader } from "@x402/core/http";
import { appendPaymentIdentifierToExtensions, generatePaymentId, isPaymentIdentifierExtension } from "@x402/extensions/payment-identifier";
import {
  decodeSignedOffers,
  extractOffersFromPaymentRequired,
  extractReceiptFromResponse,
  findAcceptsObjectFromSignedOffer,
  verifyOfferSignatureJWS,
  verifyReceiptMatchesOffer,
  verifyReceiptSignatureJWS,
} from "@x402/extensions/offer-receipt";
import { createSIWxPayload, encodeSIWxHeader } from "@x402/extensions/sign-in-with-x";
import express from "express";
import { createPublicClient, http } from "viem";
import { baseSepolia } from "viem/chains";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { startOfficialFacilitator } from "./official-facilitator.mjs";
import { calledByPython, noPython, startPython } from "./python-peers.mjs";
import { ended, question, startReady, startWorld } from "./world.mjs";

const NETWORK = "eip155:84532";
const table = [];
const stops = [];
let world;
let ours; // our facilitator's URL
let theirs; // the official one's
let snake; // and the official Python one's

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

/** The same, paid from channels. */
async function startChannelExpress(facilitator, payTo) {
  const client = new HTTPFacilitatorClient({ url: facilitator });
  const scheme = new BatchServer(payTo, { withdrawDelay: 900 });
  const resources = new x402ResourceServer(client).register(NETWORK, scheme);
  const accepts = { scheme: "batch-settlement", network: NETWORK, payTo, price: "$0.001", maxTimeoutSeconds: 60 };
  const app = express();
  app.use(paymentMiddleware({ "GET /answer": { accepts: [accepts], description: "an answer" } }, resources));
  app.get("/answer", (_, response) => response.json({ answer: 42 }));
  const server = createServer(app);
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  return [(await listen(server)) + "/answer", scheme.createChannelManager(client, NETWORK)];
}

const balanceOf = (owner) =>
  createPublicClient({ transport: http(world.info.rpc) }).readContract({
    address: world.info.asset,
    abi: [{ type: "function", name: "balanceOf", stateMutability: "view", inputs: [{ type: "address" }], outputs: [{ type: "uint256" }] }],
    functionName: "balanceOf",
    args: [owner],
  });

before(async () => {
  world = await startWorld();
  ours = await startOurs();
  theirs = await startTheirs();
  if (!noPython) {
    const key = generatePrivateKey();
    await giveGas(privateKeyToAccount(key).address);
    snake = await startPython(stops, { GRIDTIE_KEY: key }, "facilitate", world.info.rpc);
  }
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

/** The official client's scheme for channels; it asks the chain itself where it lost its account. */
const channels = (more = {}) => {
  const chain = createPublicClient({ chain: baseSepolia, transport: http(world.info.rpc) });
  return new BatchClient(toClientEvmSigner(account(), chain), { depositPolicy: { depositMultiplier: 10 }, ...more });
};
const pays = (scheme) => wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: NETWORK, client: scheme }] });
const charged = (response) => BigInt(decodePaymentResponseHeader(response.headers.get("PAYMENT-RESPONSE")).extra.chargedAmount);

test("batch-settlement: the official client at our gateway: deposit, vouchers, a lost account, refund", async () => {
  const url = world.url + "/v1/chat/completions";
  const scheme = channels();
  const client = pays(scheme);
  const request = () => chat({ max_tokens: 60 });
  const [first, deposited] = await spentBy(() => client(url, request()));
  assert.equal(first.status, 200, await first.clone().text());
  assert.ok(deposited > charged(first), "more was put in than was used");
  let used = charged(first);
  for (let i = 0; i < 3; i++) {
    const [next, spent] = await spentBy(() => client(url, chat({ max_tokens: 60, seed: i })));
    assert.equal(next.status, 200, await next.clone().text());
    assert.equal(spent, 0n, "a voucher moves nothing");
    assert.equal(decodePaymentResponseHeader(next.headers.get("PAYMENT-RESPONSE")).transaction, "");
    used += charged(next);
  }
  const [streamed, nothing] = await spentBy(async () => (await client(url, chat({ max_tokens: 60, stream: true }))).text());
  assert.match(streamed, /data: \[DONE\]/);
  used += BigInt(decodePaymentResponseHeader(streamed.match(/^: PAYMENT-RESPONSE (\S+)$/m)[1]).extra.chargedAmount);
  assert.equal(nothing, 0n);
  // It has not read the comment at the stream's end: it is put right by the corrective 402.
  const [after] = await spentBy(() => client(url, chat({ max_tokens: 60, seed: 9 })));
  assert.equal(after.status, 200, await after.clone().text());
  used += charged(after);
  // Another client of the same wallet that knows nothing: put right too.
  const forgetful = channels();
  const [again] = await spentBy(() => pays(forgetful)(url, chat({ max_tokens: 60, seed: 10 })));
  assert.equal(again.status, 200, await again.clone().text());
  used += charged(again);
  const [, back] = await spentBy(() => forgetful.refund(world.url + "/v1/channel"));
  assert.equal(deposited + back, used, "what was not used came back");
  table.push(["batch-settlement", "official TypeScript", "ours", "ours, embedded", "pays, streams, is put right, is refunded"]);
});

for (const [name, facilitator] of [["ours", () => ours], ["official TypeScript", () => theirs]]) {
  test(`batch-settlement: both clients at the official Express server, settled by the facilitator that is ${name}`, async () => {
    const payTo = privateKeyToAccount(generatePrivateKey()).address;
    const [url, manager] = await startChannelExpress(facilitator(), payTo);
    const scheme = channels({ salt: "0x" + "ab".repeat(32) });
    const client = pays(scheme);
    const [first, deposited] = await spentBy(() => client(url));
    assert.equal(first.status, 200, await first.clone().text());
    assert.ok(deposited >= 1000n);
    const [second, nothing] = await spentBy(() => client(url));
    assert.equal(second.status, 200, await second.clone().text());
    assert.equal(nothing, 0n);
    table.push(["batch-settlement", "official TypeScript", "official Express", name, "deposits, pays"]);

    const [called, spent] = await spentBy(() => world.run("call", url, "--scheme", "batch-settlement", "--deposit-usd", "0.05"));
    assert.equal(called.status, 0, called.output);
    assert.match(called.output, /"answer":42/);
    assert.ok(spent >= 1000n);
    const [calledAgain, none] = await spentBy(() => world.run("call", url, "--scheme", "batch-settlement"));
    assert.equal(calledAgain.status, 0, calledAgain.output);
    assert.equal(none, 0n);
    table.push(["batch-settlement", "ours", "official Express", name, "deposits, pays"]);

    // The official server has the facilitator claim both channels, pay out, and give back the rest.
    const { claims } = await manager.claimAndSettle();
    assert.equal(claims.length, 1);
    assert.equal(claims[0].vouchers, 2);
    assert.equal(await balanceOf(payTo), 4000n);
    const [refunded, back] = await spentBy(() => manager.refund());
    assert.equal(refunded.length, 2);
    assert.equal(deposited + spent + back, 4000n, "all but what was used came back");
    table.push(["batch-settlement", "–", "official Express", name, "claims two channels, pays out, refunds"]);
  });
}

/** Our gateway, whose payments somebody else's facilitator settles. */
async function startOurGateway(facilitator) {
  const home = mkdtempSync(join(tmpdir(), "gridtie-gateway-"));
  const model = new URL("../../models/tiny/gridtie-tiny-Q8_0.gguf", import.meta.url).pathname;
  const config = join(home, "gateway.yaml");
  writeFileSync(
    config,
    `port: 0
payTo: "${world.info.payTo}"
chain:
  rpc: "${world.info.rpc}"
  network: "${NETWORK}"
  token: "${world.info.asset}"
  tokenName: USDC
  tokenVersion: "2"
  decimals: 6
  schemes: [exact, upto, exact-permit2]
  facilitator: "${facilitator}"
models:
  - id: gridtie/tiny
    file: "${model}"
    quantization: Q8_0
    promptUsdPerMillion: "1"
    completionUsdPerMillion: "4"
    contextTokens: 1024
`,
  );
  const { child, ready } = startReady(["gateway", "--config", config, "--home", home]);
  stops.push(async () => {
    child.kill("SIGTERM");
    await ended(child);
    rmSync(home, { recursive: true, force: true });
  });
  return ready;
}

for (const [facilitatorName, facilitator] of [["ours", () => ours], ["official TypeScript", () => theirs], ["official Python", () => snake]]) {
  test(`our gateway, settled by the facilitator that is ${facilitatorName}`, { skip: facilitatorName === "official Python" && noPython }, async () => {
    const url = (await startOurGateway(facilitator())) + "/v1/chat/completions";
    for (const scheme of ["exact by EIP-3009", "exact by Permit2", "upto"]) {
      const [response, spent] = await spentBy(async () => {
        const answer = await official(scheme)(url, chat({ max_tokens: 60 }));
        return { status: answer.status, headers: answer.headers, text: await answer.text() };
      });
      assert.equal(response.status, 200, response.text);
      assert.match(response.text, /signed record/);
      assert.equal(BigInt(decodePaymentResponseHeader(response.headers.get("PAYMENT-RESPONSE")).amount), spent);
      table.push([scheme, "official TypeScript", "ours", `${facilitatorName}, apart`, "pays"]);
    }
  });
}

const pythonNames = { "exact": "exact by EIP-3009", "exact-permit2": "exact by Permit2", "upto": "upto", "batch-settlement": "batch-settlement" };

for (const [scheme, name] of Object.entries(pythonNames)) {
  test(`${name}: the official Python client at our gateway`, { skip: noPython }, async () => {
    const bodies = [1, 2].map((seed) => JSON.stringify(question("What is a receipt?", { max_tokens: 60, seed })));
    const [answers, spent] = await spentBy(() => calledByPython({ GRIDTIE_KEY: world.key, GRIDTIE_RPC: world.info.rpc }, scheme, world.url + "/v1/chat/completions", ...bodies));
    for (const answer of answers) {
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.text, /signed record/);
      assert.equal(answer.settled.success, true);
    }
    if (scheme === "batch-settlement") {
      assert.equal(answers[1].settled.transaction, "");
      assert.ok(spent > 0n);
    } else assert.equal(BigInt(answers[0].settled.amount) + BigInt(answers[1].settled.amount), spent);
    table.push([name, "official Python", "ours", "ours, embedded", "pays"]);
  });

  for (const [facilitatorName, facilitator] of [["ours", () => ours], ["official TypeScript", () => theirs], ["official Python", () => snake]]) {
    test(`${name}: both clients at the official Flask server, settled by the facilitator that is ${facilitatorName}`, { skip: noPython }, async () => {
      const payTo = privateKeyToAccount(generatePrivateKey()).address;
      const url = (await startPython(stops, {}, "serve", scheme, facilitator(), payTo, world.info.asset)) + "/answer";
      const expected = scheme === "upto" ? 400n : 1000n;
      const [[answer], spent] = await spentBy(() => calledByPython({ GRIDTIE_KEY: world.key, GRIDTIE_RPC: world.info.rpc }, scheme, url));
      assert.equal(answer.status, 200, JSON.stringify(answer));
      assert.equal(JSON.parse(answer.text).answer, 42);
      const batch = scheme === "batch-settlement";
      assert.ok(batch ? spent >= expected : spent === expected, `${spent} was taken`);
      table.push([name, "official Python", "official Flask", facilitatorName, batch ? "deposits, pays" : "pays"]);

      const more = batch ? ["--scheme", "batch-settlement", "--deposit-usd", "0.05"] : [];
      const [called, spentByUs] = await spentBy(() => world.run("call", url, ...more));
      assert.equal(called.status, 0, called.output);
      assert.match(called.output, /"answer":42/);
      assert.ok(batch ? spentByUs >= expected : spentByUs === expected, `${spentByUs} was taken`);
      table.push([name, "ours", "official Flask", facilitatorName, batch ? "deposits, pays" : "pays"]);
    });
  }
  test(`${name}: both clients at the official Express server, settled by the facilitator that is official Python`, { skip: noPython }, async () => {
    const expected = scheme === "upto" ? 400n : 1000n;
    if (scheme === "batch-settlement") {
      const payTo = privateKeyToAccount(generatePrivateKey()).address;
      const [url, manager] = await startChannelExpress(snake, payTo);
      const answer = await pays(channels({ salt: "0x" + "cd".repeat(32) }))(url);
      assert.equal(answer.status, 200, await answer.clone().text());
      await manager.claimAndSettle();
      assert.equal(await balanceOf(payTo), expected);
      table.push([name, "official TypeScript", "official Express", "official Python", "deposits, pays, is claimed"]);
      return;
    }
    const url = await startExpress(snake, name);
    const [called, spent] = await spentBy(() => world.run("call", url));
    assert.equal(called.status, 0, called.output);
    assert.equal(spent, expected);
    table.push([name, "ours", "official Express", "official Python", "pays"]);
  });
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

for (const extension of ["eip2612GasSponsoring"]) {
  test(`upto: the official client of a wallet without gas or allowance pays at our gateway (${extension})`, async () => {
    const fresh = privateKeyToAccount(generatePrivateKey());
    const data = "0x40c10f19" + fresh.address.slice(2).padStart(64, "0") + (10_000).toString(16).padStart(64, "0"); // mint(address,uint256)
    await rpc("anvil_impersonateAccount", [world.info.payTo]);
    await giveGas(world.info.payTo);
    const minted = await rpc("eth_sendTransaction", [{ from: world.info.payTo, to: world.info.asset, data }]);
    while ((await rpc("eth_getTransactionReceipt", [minted])) === null) await new Promise((r) => setTimeout(r, 10)); // it answers before it mines
    assert.equal(await balanceOf(fresh.address), 10_000n);
    const chain = createPublicClient({ chain: baseSepolia, transport: http(world.info.rpc) });
    const client = new x402Client().register(NETWORK, new UptoClient(toClientEvmSigner(fresh, chain)));
    const url = world.url + "/v1/chat/completions";
    const required = decodePaymentRequiredHeader((await fetch(url, chat({ max_tokens: 63 }))).headers.get("PAYMENT-REQUIRED"));
    assert.equal(required.extensions.erc20ApprovalGasSponsoring, undefined, "no gas is given unless that is configured");
    required.extensions = { [extension]: required.extensions[extension] };
    const payload = await client.createPaymentPayload(required);
    assert.ok(payload.extensions?.[extension], JSON.stringify(payload));
    const request = chat({ max_tokens: 63 });
    Object.assign(request.headers, new x402HTTPClient(client).encodePaymentSignatureHeader(payload));
    const paid = await fetch(url, request);
    assert.equal(paid.status, 200, await paid.clone().text());
    const settled = decodePaymentResponseHeader(paid.headers.get("PAYMENT-RESPONSE"));
    assert.equal(10_000n - (await balanceOf(fresh.address)), BigInt(settled.amount));
    table.push([`upto, ${extension}`, "official TypeScript", "ours", "ours, embedded", "pays without gas"]);
  });
}

test("offers and receipts are signed, and the official package finds them so", async () => {
  const url = world.url + "/v1/chat/completions";
  const unpaid = await fetch(url, chat({ max_tokens: 62 }));
  const header = unpaid.headers.get("PAYMENT-REQUIRED");
  assert.ok(header.length < 12_000, `${header.length} bytes: clients take 16 KB of headers`);
  const required = decodePaymentRequiredHeader(header);
  const offers = extractOffersFromPaymentRequired(required);
  assert.equal(offers.length, required.accepts.length);
  for (const offer of offers) {
    const payload = await verifyOfferSignatureJWS(offer);
    assert.equal(findAcceptsObjectFromSignedOffer(offer, required.accepts), required.accepts[offer.acceptIndex]);
    assert.equal(payload.resourceUrl, url);
  }
  const client = new x402Client().register(NETWORK, new ExactClient(account()));
  const payload = await client.createPaymentPayload(required);
  const request = chat({ max_tokens: 62 });
  Object.assign(request.headers, new x402HTTPClient(client).encodePaymentSignatureHeader(payload));
  const paid = await fetch(url, request);
  assert.equal(paid.status, 200);
  const receipt = extractReceiptFromResponse(paid);
  await verifyReceiptSignatureJWS(receipt);
  const [offer] = decodeSignedOffers(offers);
  assert.equal(verifyReceiptMatchesOffer(receipt, offer, [account().address]), true);
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
  assert.deepEqual(supported.kinds.map((k) => `${k.x402Version} ${k.scheme} ${k.network}`).sort(), [`1 exact base-sepolia`, `2 batch-settlement ${NETWORK}`, `2 exact ${NETWORK}`, `2 upto ${NETWORK}`]);
  assert.equal(supported.signers["eip155:*"].length, 2);
});
