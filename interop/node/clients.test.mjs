// The official clients, given only the buyer's key and the URL.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { calculateJwkThumbprint, EmbeddedJWK, flattenedVerify } from "jose";
import OpenAI from "openai";
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { decodeXPaymentResponse, wrapFetchWithPayment as wrapV1 } from "x402-fetch";
import { question, startWorld } from "./world.mjs";

let world;
before(async () => {
  world = await startWorld();
});
after(async () => {
  await world?.stop();
});

const post = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const endpoint = () => world.url + "/v1/chat/completions";
const officialFetch = () =>
  wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: "eip155:84532", client: new ExactEvmScheme(privateKeyToAccount(world.key)) }],
  });

/** What a piece of work takes from the buyer on the chain. */
async function spentBy(work) {
  const before = await world.balance();
  const result = await work();
  return [result, before - (await world.balance())];
}

test("@x402/fetch pays and gets the answer", async () => {
  const [response, spent] = await spentBy(() => officialFetch()(endpoint(), post(question("What is a receipt?"))));
  assert.equal(response.status, 200);
  const answer = await response.json();
  assert.match(answer.choices[0].message.content, /signed record/);
  assert.ok(answer.usage.completion_tokens > 10);
  const settled = decodePaymentResponseHeader(response.headers.get("PAYMENT-RESPONSE"));
  assert.equal(settled.success, true);
  assert.equal(settled.payer.toLowerCase(), world.info.buyer.toLowerCase());
  assert.equal(BigInt(settled.amount), spent);
  const receipt = await (await fetch(`${world.url}/v1/receipts/${response.headers.get("X-Gridtie-Receipt")}`)).json();
  assert.equal(receipt.receipt.payment.transaction, settled.transaction);
  const { payload, protectedHeader } = await flattenedVerify(receipt, EmbeddedJWK); // what jose knows of a JWS, and nothing of ours
  assert.deepEqual(JSON.parse(new TextDecoder().decode(payload)), receipt.receipt);
  assert.equal(protectedHeader.kid, await calculateJwkThumbprint(protectedHeader.jwk));
  const lie = Buffer.from(JSON.stringify({ ...receipt.receipt, finish: "length" })).toString("base64url");
  await assert.rejects(flattenedVerify({ ...receipt, payload: lie }, EmbeddedJWK), /signature verification failed/);
});

test("@x402/fetch streams", async () => {
  const response = await officialFetch()(endpoint(), post(question("What is x402?", { stream: true })));
  assert.equal(response.status, 200);
  const text = await response.text();
  assert.ok(text.endsWith("data: [DONE]\n\n"));
  const deltas = text.split("\n").filter((l) => l.startsWith("data: {")).map((l) => JSON.parse(l.slice(6)));
  assert.match(deltas.map((d) => d.choices[0]?.delta?.content ?? "").join(""), /402/);
  assert.ok(deltas.length > 5, "the answer comes in pieces");
});

test("x402-fetch of version 1 pays and gets the answer", async () => {
  const wallet = createWalletClient({ account: privateKeyToAccount(world.key), chain: baseSepolia, transport: http(world.info.rpc) });
  const [response, spent] = await spentBy(() => wrapV1(fetch, wallet)(endpoint(), post(question("What is a hold?"))));
  assert.equal(response.status, 200);
  assert.match((await response.json()).choices[0].message.content, /before any work/);
  const settled = decodeXPaymentResponse(response.headers.get("X-PAYMENT-RESPONSE"));
  assert.equal(settled.network, "base-sepolia");
  assert.ok(spent > 0n);
});

test("an OpenAI client without a wallet understands the 402", async () => {
  const client = new OpenAI({ baseURL: world.url + "/v1", apiKey: "none", maxRetries: 0 });
  await assert.rejects(client.chat.completions.create(question("Hi")), (error) => {
    assert.equal(error.status, 402);
    assert.equal(error.code, "payment_required");
    assert.match(error.message, /costs at most \$/);
    return true;
  });
});

test("the OpenAI SDK lists the models", async () => {
  const client = new OpenAI({ baseURL: world.url + "/v1", apiKey: "none" });
  const models = await client.models.list();
  assert.deepEqual(models.data.map((m) => m.id), ["gridtie/tiny"]);
});

test("the OpenAI SDK gets its answer through the proxy, whole and streamed", async () => {
  const baseURL = await world.startProxy();
  const client = new OpenAI({ baseURL, apiKey: world.proxyToken() });
  await assert.rejects(new OpenAI({ baseURL, apiKey: "any" }).chat.completions.create(question("Hi")), (e) => e.status === 401 && e.code === "invalid_proxy_token");
  const [answer, spent] = await spentBy(() => client.chat.completions.create(question("Who pays the gas?")));
  assert.match(answer.choices[0].message.content, /facilitator pays/i);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(spent > 0n);
  const stream = await client.chat.completions.create(
    question("What is the ledger?", { stream: true, stream_options: { include_usage: true } }),
  );
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /double-entry/);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("the proxy refuses beyond its caps, and pays nothing then", async () => {
  const perRequest = new OpenAI({ baseURL: await world.startProxy("--max-usd", "0.0001"), apiKey: world.proxyToken(), maxRetries: 0 });
  const [, nothing] = await spentBy(() =>
    assert.rejects(perRequest.chat.completions.create(question("Hi")), (e) => e.status === 402 && /limit for one call/.test(e.message)),
  );
  assert.equal(nothing, 0n);

  // What the first proxy spent today counts: the day's sum is the wallet's, not the process's.
  const quote = Number((await (await fetch(endpoint(), post(question("Hello")))).json()).accepts[0].maxAmountRequired);
  const spentBefore = JSON.parse((await import("node:fs")).readFileSync(world.home + "/proxy-spending.json", "utf8")).spentPico;
  const cap = ((Number(spentBefore) / 1e6 + 2 * quote + Math.floor(quote / 2)) / 1e6).toFixed(9);
  const perDay = new OpenAI({ baseURL: await world.startProxy("--max-usd-day", String(cap)), apiKey: world.proxyToken(), maxRetries: 0 });
  const [results, spent] = await spentBy(() =>
    Promise.allSettled(Array.from({ length: 8 }, (_, seed) => perDay.chat.completions.create(question("Hello", { seed })))),
  );
  assert.equal(results.filter((r) => r.status === "fulfilled").length, 2);
  assert.equal(Number(spent), 2 * quote);
  for (const r of results.filter((x) => x.status === "rejected")) assert.equal(r.reason.status, 402);
});

test("through the proxy, one request that is asked eight times at once is paid once", async () => {
  const client = new OpenAI({ baseURL: await world.startProxy("--max-usd-day", "50"), apiKey: world.proxyToken() });
  const quote = Number((await (await fetch(endpoint(), post(question("Hello, once")))).json()).accepts[0].maxAmountRequired);
  const [answers, spent] = await spentBy(() => Promise.all(Array.from({ length: 8 }, () => client.chat.completions.create(question("Hello, once")))));
  assert.equal(new Set(answers.map((a) => a.choices[0].message.content)).size, 1);
  assert.ok(Number(spent) >= quote && Number(spent) <= 2 * quote, `${spent} of ${quote}`); // one that comes after the answer is a new one
});

test("with a key, the engine answers each SDK in its own dialect, and says what texts are like", async () => {
  const { output } = await world.run("key", "create", "sdk", "--limit-usd", "1");
  const apiKey = output.trim().split("\n").at(-1);
  assert.match(apiKey, /^gt-[0-9a-f]{64}$/);
  const openai = new OpenAI({ baseURL: world.url + "/v1", apiKey });
  const chat = await openai.chat.completions.create(question("What is a receipt?"));
  assert.match(chat.choices[0].message.content, /signed record/);
  const response = await openai.responses.create({ model: "gridtie/tiny", input: "What is a receipt?", temperature: 0, max_output_tokens: 60 });
  assert.match(response.output_text, /signed record/);
  const anthropic = new Anthropic({ baseURL: world.url, apiKey });
  const messages = [{ role: "user", content: "What is a receipt?" }];
  const message = await anthropic.messages.stream({ model: "gridtie/tiny", max_tokens: 60, temperature: 0, messages }).finalMessage();
  assert.match(message.content[0].text, /signed record/);
  const counted = await anthropic.messages.countTokens({ model: "gridtie/tiny", messages });
  assert.equal(counted.input_tokens, message.usage.input_tokens);
  const gemini = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: world.url } });
  const content = await gemini.models.generateContent({ model: "gridtie/tiny", contents: "What is a receipt?", config: { temperature: 0, maxOutputTokens: 60 } });
  assert.match(content.text, /signed record/);
  const like = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const { data } = await openai.embeddings.create({ model: "gridtie/tiny", input: ["What is a receipt?", "Tell me what a receipt is.", "llama.cpp runs on the CPU"] });
  const [a, b, c] = data.map((d) => d.embedding);
  assert.ok(Math.abs(like(a, a) - 1) < 1e-3);
  assert.ok(like(a, b) > like(a, c));
  const listed = await world.run("key", "show", "sdk");
  assert.match(listed.output, /requests   [1-9]/);
});

test("the ledger is sound after all of it, and says what the chain says", async () => {
  const { status, output } = await world.run("ledger", "verify");
  assert.equal(status, 0, output);
  assert.match(output, /^sound: /);
});
