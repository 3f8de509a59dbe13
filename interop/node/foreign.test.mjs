// The official clients in Python and Java, each in a process of its own, against the same gateway and servers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startOneApi } from "./oneapi.mjs";

const interop = join(dirname(fileURLToPath(import.meta.url)), "..");
let world;
before(async () => {
  world = await startOneApi();
});
after(async () => {
  await world?.stop();
});

function run(command, args) {
  return new Promise((resolve) => {
    const env = { ...process.env, GRIDTIE_URL: world.url, GRIDTIE_KEY: world.key };
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (d) => (output += d));
    child.stderr.on("data", (d) => (output += d));
    child.on("exit", (code) => resolve({ code, output }));
  });
}

const python = join(interop, "python", ".venv", "bin", "python");
const classes = join(interop, "java", "target", "classes");

test("Python: openai, anthropic, google-genai", { skip: !existsSync(python) && "interop/python/.venv is missing; .ci/run makes it" }, async () => {
  const { code, output } = await run(python, [join(interop, "python", "clients.py")]);
  assert.equal(code, 0, output);
});

test("Java: openai", { skip: !existsSync(classes) && "interop/java is not built; .ci/run builds it" }, async () => {
  const libraries = join(interop, "java", "target", "libraries", "*");
  const { code, output } = await run(process.env.GRIDTIE_JAVA ?? "java", ["-cp", `${classes}:${libraries}`, "dev.gridtie.interop.OpenAiJava"]);
  assert.equal(code, 0, output);
  assert.match(output, /gemini: plain, streamed, tools/);
});
