// Agents at our doors: the official client of the Model Context Protocol, x402's official MCP client in Python, the official client of
// Agent2Agent. Each call is paid by x402.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { ClientFactory } from "@a2a-js/sdk/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ExactEvmScheme } from "@x402/evm";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";
import { noPython, peers, python } from "./python-peers.mjs";
import { startWorld } from "./world.mjs";

const NETWORK = "eip155:84532";
let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

const account = () => privateKeyToAccount(world.key);
const payer = (scheme = new ExactEvmScheme(account())) => new x402Client().register(NETWORK, scheme);

async function spentBy(work) {
  const start = await world.balance();
  const result = await work();
  return [result, start - (await world.balance())];
}

async function withMcp(work) {
  const client = new Client({ name: "a test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(world.url + "/mcp")));
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const asks = (more = {}) => ({ model: "gridtie/tiny", prompt: "What is a receipt?", temperature: 0, max_tokens: 60, ...more });

test("MCP: the official client finds the tools, the models and the price, for nothing", async () => {
  await withMcp(async (client) => {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map((t) => t.name).sort(), ["chat", "models", "quote"]);
    const [result, spent] = await spentBy(async () => [
      await client.callTool({ name: "models", arguments: {} }),
      await client.callTool({ name: "quote", arguments: asks() }),
    ]);
    assert.equal(spent, 0n);
    const [models, quote] = result;
    assert.equal(models.structuredContent.data[0].id, "gridtie/tiny");
    assert.ok(!quote.isError);
    assert.equal(quote.structuredContent.resource.url, "mcp://tool/chat");
    assert.ok(BigInt(quote.structuredContent.accepts[0].amount) > 0n);
  });
});

test("MCP: a call is told its price, paid in _meta, answered once, and never charged twice", async () => {
  await withMcp(async (client) => {
    const unpaid = await client.callTool({ name: "chat", arguments: asks() });
    assert.equal(unpaid.isError, true);
    assert.deepEqual(JSON.parse(unpaid.content[0].text), unpaid.structuredContent);
    for (const [scheme, more] of [[new ExactEvmScheme(account()), {}], [new UptoEvmScheme(account()), { seed: 2 }]]) {
      const asked = (await client.callTool({ name: "chat", arguments: asks(more) })).structuredContent;
      const payload = await payer(scheme).createPaymentPayload(asked);
      const call = () => client.callTool({ name: "chat", arguments: asks(more), _meta: { "x402/payment": payload } });
      const [first, spent] = await spentBy(call);
      assert.ok(!first.isError, JSON.stringify(first));
      assert.match(first.content[0].text, /signed record/);
      const settled = first._meta["x402/payment-response"];
      assert.equal(settled.success, true);
      assert.equal(BigInt(settled.amount), spent);
      const receipt = await (await fetch(`${world.url}/v1/receipts/${first._meta["gridtie/receipt"]}`)).json();
      assert.equal(receipt.receipt.payment.transaction, settled.transaction);
      const [again, nothing] = await spentBy(call);
      assert.equal(again.content[0].text, first.content[0].text);
      assert.equal(nothing, 0n);
      // For another question it is not good.
      const other = await client.callTool({ name: "chat", arguments: asks({ prompt: "What is x402?" }), _meta: { "x402/payment": payload } });
      assert.equal(other.isError, true);
    }
  });
});

test("MCP: what is wrong is said so, and costs nothing", async () => {
  await withMcp(async (client) => {
    const [, spent] = await spentBy(async () => {
      await assert.rejects(client.callTool({ name: "steal", arguments: {} }), /there is no tool/);
      await assert.rejects(client.callTool({ name: "chat", arguments: { model: "gridtie/tiny" } }), /prompt/);
      const unknown = await client.callTool({ name: "chat", arguments: asks({ model: "nobody/nothing" }) });
      assert.equal(unknown.isError, true);
      assert.match(unknown.content[0].text, /model/);
      const forged = { name: "chat", arguments: asks(), _meta: { "x402/payment": { x402Version: 2, payload: {} } } };
      await assert.rejects(client.callTool(forged), /x402\/payment.*Nothing was charged/);
    });
    assert.equal(spent, 0n);
  });
  const post = (body, headers = {}) =>
    fetch(world.url + "/mcp", { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body });
  assert.equal((await post("{")).status, 400);
  assert.equal((await post("[]")).status, 400);
  assert.equal((await post(`{"jsonrpc":"2.0","method":"ping","id":1}`, { Origin: "https://evil.example" })).status, 403);
  assert.equal((await post(`{"jsonrpc":"2.0","method":"ping","id":1}`, { "MCP-Protocol-Version": "1999-01-01" })).status, 400);
  assert.equal((await post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)).status, 202);
  assert.equal((await fetch(world.url + "/mcp")).status, 405);
});

test("MCP: an account's key pays as well", async () => {
  const made = await world.run("key", "create", "agent", "--limit-usd", "1");
  const key = made.output.match(/gt-\S+/)?.[0];
  assert.ok(key, made.output);
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "chat", arguments: asks() } });
  const answer = await fetch(world.url + "/mcp", { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` }, body });
  const { result } = await answer.json();
  assert.ok(!result.isError, JSON.stringify(result));
  assert.match(result.content[0].text, /signed record/);
});

test("MCP: x402's official Python client pays for a tool by itself", { skip: noPython }, async () => {
  const [said, spent] = await spentBy(
    () =>
      new Promise((resolve, reject) => {
        const env = { ...process.env, GRIDTIE_KEY: world.key };
        const child = spawn(python, [peers, "tool", world.url + "/mcp", JSON.stringify(asks({ seed: 3 }))], { env });
        let output = "";
        let wrong = "";
        child.stdout.on("data", (d) => (output += d));
        child.stderr.on("data", (d) => (wrong += d));
        child.on("exit", (code) => (code === 0 ? resolve(JSON.parse(output)) : reject(new Error(wrong.slice(-3000)))));
      }),
  );
  assert.equal(said.paid, true);
  assert.equal(said.error, false);
  assert.match(said.text, /signed record/);
  assert.equal(BigInt(said.settled.amount), spent);
});

const says = (text, more = {}) => ({
  message: { kind: "message", role: "user", messageId: crypto.randomUUID(), parts: [{ kind: "text", text }], ...more },
});

test("A2A: the official client asks, is told the price, pays, and has its answer once", async () => {
  const client = await new ClientFactory().createFromUrl(world.url);
  const card = await client.getAgentCard();
  assert.ok(card.capabilities.extensions.some((e) => e.uri.includes("a2a-x402") && e.required));
  const asked = await client.sendMessage(says("What is a receipt?", { metadata: { max_tokens: 60, temperature: 0 } }));
  assert.equal(asked.kind, "task");
  assert.equal(asked.status.state, "input-required");
  assert.equal(asked.status.message.metadata["x402.payment.status"], "payment-required");
  const payload = await payer().createPaymentPayload(asked.status.message.metadata["x402.payment.required"]);
  const pay = () =>
    client.sendMessage(says("Here you are.", { taskId: asked.id, metadata: { "x402.payment.status": "payment-submitted", "x402.payment.payload": payload } }));
  const [done, spent] = await spentBy(pay);
  assert.equal(done.status.state, "completed", JSON.stringify(done));
  assert.equal(done.status.message.metadata["x402.payment.status"], "payment-completed");
  assert.equal(BigInt(done.status.message.metadata["x402.payment.receipts"][0].amount), spent);
  assert.match(done.artifacts[0].parts[0].text, /signed record/);
  const [again, nothing] = await spentBy(pay);
  assert.equal(again.artifacts[0].parts[0].text, done.artifacts[0].parts[0].text);
  assert.equal(nothing, 0n);
  assert.equal((await client.getTask({ id: asked.id })).status.state, "completed");
});

test("A2A: who rejects the price, pays wrongly or names no task pays nothing", async () => {
  const client = await new ClientFactory().createFromUrl(world.url);
  const [, spent] = await spentBy(async () => {
    const asked = await client.sendMessage(says("What is x402?"));
    const submitted = (payload, taskId) =>
      client.sendMessage(says("Here.", { taskId, metadata: { "x402.payment.status": "payment-submitted", "x402.payment.payload": payload } }));
    const payload = await payer().createPaymentPayload(asked.status.message.metadata["x402.payment.required"]);
    const wrong = structuredClone(payload);
    wrong.payload.authorization.value = "1";
    const failed = await submitted(wrong, asked.id);
    assert.equal(failed.status.state, "input-required");
    assert.equal(failed.status.message.metadata["x402.payment.status"], "payment-failed");
    assert.match(failed.status.message.metadata["x402.payment.error"], /invalid_exact_evm/);
    await assert.rejects(submitted(payload, "task-nobody"));
    const rejected = await client.sendMessage(says("No.", { taskId: asked.id, metadata: { "x402.payment.status": "payment-rejected" } }));
    assert.equal(rejected.status.state, "canceled");
    const late = await submitted(payload, asked.id);
    assert.equal(late.status.state, "canceled");
  });
  assert.equal(spent, 0n);
});
