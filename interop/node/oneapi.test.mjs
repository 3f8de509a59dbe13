// Every official client through its own dialect to every upstream dialect: 5 clients, 4 upstreams.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { anthropic, gemini, openaiChat, openaiResponses, openrouter } from "./clients.mjs";
import { KEY } from "./fakes/server.mjs";
import { DIALECTS, startOneApi } from "./oneapi.mjs";

let world;
before(async () => {
  world = await startOneApi();
});
after(async () => {
  await world?.stop();
});

const CLIENTS = [openaiChat, openaiResponses, anthropic, gemini, openrouter];

for (const make of CLIENTS) {
  for (const upstream of DIALECTS) {
    describe(`${make.name} to ${upstream}`, () => {
      const client = () => make(world.url, world.key);
      const model = (scenario) => `${upstream}/${scenario}`;

      for (const stream of [false, true]) {
        const how = stream ? "streamed" : "whole";

        test(`plain, ${how}: text, reason and every token`, async () => {
          const c = client();
          const answer = await c.ask(model("plain"), c.start("hi"), { stream });
          assert.equal(answer.text, `Hello from ${upstream}.`);
          assert.equal(answer.stopped, "stop");
          assert.equal(answer.usage.input, 11);
          assert.equal(answer.usage.cached, 4);
          assert.equal(answer.usage.output, 5);
          if (make === openrouter) assert.equal(answer.usage.cost, (7 * 1 + 4 * 0.1 + 5 * 4) / 1e6);
        });

        test(`a tool in two turns, ${how}`, async () => {
          const c = client();
          const first = await c.ask(model("tools"), c.start("weather in Paris?"), { stream, tools: true });
          assert.equal(first.stopped, "tools");
          assert.deepEqual(first.calls.map((x) => [x.name, x.args]), [["get_weather", { city: "Paris" }]]);
          const second = await c.ask(model("tools"), c.results(first.messages, [[first.calls[0], "21"]]), { stream, tools: true });
          assert.equal(second.text, "It is 21 degrees.");
          assert.equal(second.stopped, "stop");
        });

        test(`text and two calls at once, ${how}: the reason is tools, no call is lost or merged`, async () => {
          const c = client();
          const first = await c.ask(model("parallel"), c.start("Paris and Rome?"), { stream, tools: true });
          assert.equal(first.text, "Let me look.");
          assert.equal(first.stopped, "tools");
          assert.deepEqual(first.calls.map((x) => x.args.city), ["Paris", "Rome"]);
          const results = [[first.calls[0], "21"], [first.calls[1], "30"]];
          const second = await c.ask(model("parallel"), c.results(first.messages, results), { stream, tools: true });
          assert.equal(second.text, "Paris 21, Rome 30.");
        });

        test(`reasoning with a tool loop, ${how}: sealed state comes back unchanged`, async () => {
          const c = client();
          const first = await c.ask(model("reason"), c.start("weather in Paris?"), { stream, tools: true, think: true });
          assert.equal(first.stopped, "tools");
          const second = await c.ask(model("reason"), c.results(first.messages, [[first.calls[0], "21"]]), { stream, tools: true, think: true });
          assert.equal(second.text, "It is 21 degrees.");
        });
      }

      test("a picture", async () => {
        const c = client();
        assert.equal((await c.ask(model("image"), c.start("what is this?", true))).text, "A picture.");
      });

      test("an answer that follows a schema", async () => {
        const c = client();
        assert.deepEqual(JSON.parse((await c.ask(model("schema"), c.start("where?"), { json: true })).text), { city: "Paris" });
      });

      test("an error arrives with its class, in the client's own form, and without the provider's key", async () => {
        const c = client();
        for (const [scenario, status] of [["fail400", 400], ["fail429", 429]]) {
          const error = await c.ask(model(scenario), c.start("hi")).then(() => null, (e) => e);
          assert.ok(error, "an error was expected");
          assert.equal(error.status ?? error.statusCode ?? error.code, status, String(error));
          assert.ok(!JSON.stringify([String(error), error.message, error.error, error.body]).includes(KEY), "the key leaked");
        }
      });

      test("a stream that is cut is an error, never taken for whole", async () => {
        const c = client();
        const error = await c.ask(model("cut"), c.start("hi"), { stream: true }).then((a) => a, (e) => e);
        assert.ok(error instanceof Error, `taken for whole: ${JSON.stringify(error)}`);
      });
    });
  }
}
