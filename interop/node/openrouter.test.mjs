// OpenRouter's pages, read by its own client, which checks every field.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openrouter } from "./clients.mjs";
import { startOneApi } from "./oneapi.mjs";

let world, client;
before(async () => {
  world = await startOneApi();
  client = openrouter(world.url, world.key);
});
after(async () => {
  await world?.stop();
});

test("models and their endpoints", async () => {
  const page = await client.client.models.list();
  const models = (page.result ?? page).data;
  const plain = models.find((m) => m.id === "openai/plain");
  assert.equal(plain.pricing.prompt, "0.000001");
  assert.ok(plain.supportedParameters.includes("tools"));
  const { data } = await client.client.endpoints.list({ author: "openai", slug: "plain" });
  assert.equal(data.endpoints[0].providerName, "openai");
  assert.equal(data.endpoints[0].pricing.completion, "0.000004");
  assert.ok((await client.client.providers.list()).data.some((p) => p.slug === "gemini"));
});

test("the key, its credits, and the generation that it paid for", async () => {
  const answer = await client.client.chat.send({
    chatRequest: { model: "anthropic/plain", messages: [{ role: "user", content: "hi" }] },
  });
  assert.match(answer.id, /^gen-/);
  const cost = (7 * 1 + 4 * 0.1 + 5 * 4) / 1e6;
  assert.equal(answer.usage.cost, cost);
  const { data: key } = await client.client.apiKeys.getCurrentKeyMetadata();
  assert.equal(key.limit, 5);
  assert.equal(key.usage, cost);
  const { data: credits } = await client.client.credits.getCredits();
  assert.equal(credits.totalUsage, cost);
  let generation;
  for (let i = 0; i < 50 && !generation; i++) {
    generation = await client.client.generations.getGeneration({ id: answer.id }).then((g) => g.data, () => null);
    if (!generation) await new Promise((r) => setTimeout(r, 50));
  }
  assert.equal(generation.totalCost, cost);
  assert.equal(generation.nativeTokensCached, 4);
  assert.equal(generation.providerName, "anthropic");
});

const send = (body, path = "/api/v1/chat/completions") =>
  fetch(world.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${world.key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const hi = [{ role: "user", content: "hi" }];

test("models[] falls back to the next model", async () => {
  const answer = await (await send({ model: "openai/fail503", models: ["gemini/plain"], messages: hi })).json();
  assert.equal(answer.model, "gemini/plain");
  assert.equal(answer.choices[0].message.content, "Hello from gemini.");
});

test("a preference that nobody meets is a 404 that says why", async () => {
  const response = await send({ model: "openai/plain", messages: hi, provider: { only: ["elsewhere"] } });
  assert.equal(response.status, 404);
  const { error } = await response.json();
  assert.equal(error.code, 404);
  assert.match(error.message, /No endpoints found.*'only' leaves out openai/);
});

test("routing fields never reach a server, and variants rank", async () => {
  const response = await send({ model: "openai/plain:floor", messages: hi, provider: { sort: "price" }, max_tokens: 20 });
  assert.equal(response.status, 200);
  const { body } = world.fakes.seen.at(-1);
  assert.equal(body.provider, undefined);
  assert.equal(body.model, "plain");
});
