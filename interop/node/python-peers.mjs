// x402's official Python package, as client, server and facilitator: ../python/x402_peers.py in the environment that requirements.txt fills.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { ended } from "./world.mjs";

export const python = new URL("../python/.venv/bin/python", import.meta.url).pathname;
export const peers = new URL("../python/x402_peers.py", import.meta.url).pathname;
export const noPython = existsSync(python) ? false : "interop/python/.venv is missing: python3 -m venv it and install requirements.txt";

const run = (env, args) => spawn(python, [peers, ...args], { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });

/** What the official client gets, by a line of JSON for each body. */
export function calledByPython(env, scheme, url, ...bodies) {
  const child = run(env, ["call", scheme, url, ...bodies]);
  let said = "";
  let wrong = "";
  child.stdout.on("data", (d) => (said += d));
  child.stderr.on("data", (d) => (wrong += d));
  return new Promise((resolve, reject) =>
    child.on("exit", (code) => (code === 0 ? resolve(said.trim().split("\n").map((line) => JSON.parse(line))) : reject(new Error(wrong.slice(-2000))))),
  );
}

/** Something that the official package serves, until the stops are run. */
export function startPython(stops, env, ...args) {
  const child = run(env, args);
  stops.push(async () => {
    child.stdin.end();
    await ended(child);
  });
  let output = "";
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`x402_peers.py ended with ${code}: ${output.slice(-2000)}`)));
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (d) => {
        output += d;
        const match = output.match(/^ready (http:\S+)$/m);
        if (match) resolve(match[1]);
      });
  });
}
