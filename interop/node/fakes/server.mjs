// Servers that speak each vendor's wire form and refuse what the vendor would refuse. The model's name is the scenario.
import { createServer } from "node:http";
import * as anthropic from "./anthropic.mjs";
import { Bad } from "./check.mjs";
import * as gemini from "./gemini.mjs";
import * as openai from "./openai.mjs";
import * as responses from "./responses.mjs";

const DIALECTS = { openai, responses, anthropic, gemini };
export const KEY = "sk-fake-provider-key-0123456789abcdef";

/** Starts all four; `base(dialect)` is where each is. */
export async function startFakes() {
  const seen = [];
  let turn = 0;
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (c) => chunks.push(c));
    request.on("end", () => {
      const [, dialect, ...path] = request.url.split("?")[0].split("/");
      const fake = DIALECTS[dialect];
      const raw = Buffer.concat(chunks).toString();
      const out = writer(response);
      try {
        const body = JSON.parse(raw);
        const google = /^v1beta\/models\/(.+):(\w+)$/.exec(path.join("/"));
        const model = google ? decodeURIComponent(google[1]) : body.model;
        const stream = google ? google[2] === "streamGenerateContent" : body.stream;
        seen.push({ dialect, path: path.join("/"), model, body, raw, headers: request.headers });
        fake.check(body, request.headers, KEY, model);
        if (model.startsWith("fail")) throw new Bad(`no such luck with ${KEY}`, Number(model.slice(4)));
        fake.answer(model, body, out, { stream, model, turn: turn++ });
      } catch (e) {
        const status = e instanceof Bad ? e.status : e instanceof SyntaxError ? 400 : 500;
        if (!(e instanceof Bad)) console.error(e);
        response.writeHead(status, { "Content-Type": "application/json" });
        response.end(JSON.stringify(fake ? fake.error(status, e.message) : {}));
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    seen,
    base: (dialect) => `${origin}/${dialect}/${dialect === "gemini" ? "v1beta" : "v1"}`,
    stop: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

function writer(response) {
  const begin = () => {
    if (!response.headersSent) response.writeHead(200, { "Content-Type": "text/event-stream" });
  };
  const raw = (text) => (begin(), response.write(text));
  return {
    raw,
    event: (data) => raw(`data: ${JSON.stringify(data)}\n\n`),
    named: (type, data) => raw(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`),
    json: (data) => {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(data));
    },
    cut: () => setTimeout(() => response.socket.destroy(), 30),
    end: () => response.end(),
  };
}
