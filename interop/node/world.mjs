// Starts a whole Gridtie in a fresh home on free ports, and stops it again.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createPublicClient, http, parseAbi } from "viem";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const gridtie = join(root, "gridtie");

/** A port that is free, with those that `up` takes behind it. */
async function freePort() {
  const tryPort = (port) =>
    new Promise((resolve) => {
      const server = createServer().once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
  for (let i = 0; i < 100; i++) {
    const port = 20000 + Math.floor(Math.random() * 20000);
    if ((await tryPort(port)) && (await tryPort(port + 1)) && (await tryPort(port + 3))) return port;
  }
  throw new Error("no free ports");
}

/** Starts a command and waits for its line "ready URL". */
export function startReady(args) {
  const child = spawn(gridtie, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const ready = new Promise((resolve, reject) => {
    const hear = (data) => {
      output += data;
      const match = output.match(/^ready (http:\S+)$/m);
      if (match) resolve(match[1]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", (code) => reject(new Error(`gridtie ${args[0]} ended with ${code}: ${output}`)));
  });
  return { child, ready };
}

export const ended = (child) => new Promise((resolve) => (child.exitCode !== null ? resolve() : child.once("exit", resolve)));

export async function startWorld(...options) {
  const home = mkdtempSync(join(tmpdir(), "gridtie-interop-"));
  const up = startReady(["up", "--port", String(await freePort()), "--home", home, ...options]);
  const url = await up.ready;
  const info = JSON.parse(readFileSync(join(home, "up.json"), "utf8"));
  const key = readFileSync(info.buyerKeyFile, "utf8").trim();
  const children = [up.child];
  const chain = createPublicClient({ transport: http(info.rpc) });
  return {
    url,
    info,
    key,
    home,
    pid: up.child.pid,
    balance: () =>
      chain.readContract({
        address: info.asset,
        abi: parseAbi(["function balanceOf(address) view returns (uint256)"]),
        functionName: "balanceOf",
        args: [info.buyer],
      }),
    /** What clients of a proxy send as their API key. */
    proxyToken: () => readFileSync(join(home, "proxy.token"), "utf8").trim(),
    async startProxy(...options) {
      const proxy = startReady(["proxy", "--port", "0", "--home", home, ...options]);
      children.push(proxy.child);
      return proxy.ready;
    },
    run(...args) {
      return new Promise((resolve) => {
        const child = spawn(gridtie, [...args, "--home", home], { stdio: ["ignore", "pipe", "pipe"] });
        let output = "";
        child.stdout.on("data", (d) => (output += d));
        child.stderr.on("data", (d) => (output += d));
        child.on("exit", (status) => resolve({ status, output }));
      });
    },
    async stop() {
      for (const child of children.reverse()) {
        child.kill("SIGTERM");
        await ended(child);
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export const question = (content, more = {}) => ({
  model: "gridtie/tiny",
  messages: [{ role: "user", content }],
  temperature: 0,
  ...more,
});
