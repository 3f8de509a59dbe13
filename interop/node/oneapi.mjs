// A gateway in front of the strict servers, and a key that opens it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KEY, startFakes } from "./fakes/server.mjs";
import { ended, gridtie, startReady } from "./world.mjs";

export const DIALECTS = ["openai", "responses", "anthropic", "gemini"];
export const SCENARIOS = ["plain", "tools", "parallel", "image", "schema", "reason", "cut", "fail400", "fail429", "fail503"];

export async function startOneApi() {
  const home = mkdtempSync(join(tmpdir(), "gridtie-oneapi-"));
  const fakes = await startFakes();
  const endpoint = (dialect, scenario) => `
      - provider: ${dialect}
        model: ${scenario}
        promptUsdPerMillion: "1"
        completionUsdPerMillion: "4"
        cacheReadUsdPerMillion: "0.1"
        contextTokens: 100000
        maxCompletionTokens: 8000
        features: [tools, images, json_schema, reasoning, documents]`;
  writeFileSync(join(home, "key.txt"), KEY + "\n");
  writeFileSync(
    join(home, "catalog.yaml"),
    `providers:${DIALECTS.map((d) => `
  - name: ${d}
    dialect: ${d}
    url: "${fakes.base(d)}"
    keys: [{ file: key.txt }]
    regions: [eu]`).join("")}
models:${DIALECTS.flatMap((d) => SCENARIOS.map((s) => `
  - id: ${d}/${s}
    created: 1700000000
    endpoints:${endpoint(d, s)}`)).join("")}
`);
  writeFileSync(
    join(home, "gateway.yaml"),
    `port: 0
payTo: "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
chain:
  rpc: "http://127.0.0.1:9"
  network: "eip155:84532"
  token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
  tokenName: USDC
  tokenVersion: "2"
  decimals: 6
models: []
catalog: "${join(home, "catalog.yaml")}"
`);
  const run = (...args) =>
    new Promise((resolve, reject) => {
      const child = spawn(gridtie, [...args, "--home", home], { stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      child.stdout.on("data", (d) => (output += d));
      child.stderr.on("data", (d) => (output += d));
      child.on("exit", (code) => (code === 0 ? resolve(output) : reject(new Error(output))));
    });
  const gateway = startReady(["gateway", "--config", join(home, "gateway.yaml"), "--home", home]);
  const url = await gateway.ready;
  const key = (await run("key", "create", "interop", "--limit-usd", "5")).trim().split("\n").at(-1);
  return {
    url,
    key,
    home,
    fakes,
    run,
    async stop() {
      gateway.child.kill("SIGTERM");
      await ended(gateway.child);
      await fakes.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
