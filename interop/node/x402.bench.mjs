// What a verification costs, ours beside x402's official TypeScript facilitator, in one run on one chain. Usage: node x402.bench.mjs [SECONDS]
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ExactEvmScheme } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { ended, startReady, startWorld } from "./world.mjs";

const NETWORK = "eip155:84532";
const SECONDS = Number(process.argv[2] ?? 8);
const AT_ONCE = 16;
const ROUNDS = 3;
const WARM_UP = 20; // seconds before the first round: what a compiler does at the start is not what a verification costs
const here = dirname(fileURLToPath(import.meta.url));

/** A process's own time so far, children not included, in ms. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const post = async (url, body) => (await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body })).json();

/** As many verifications as go in so many seconds, so many at once. */
async function load(url, body, seconds) {
  const end = performance.now() + seconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (performance.now() < end) {
        const answer = await post(url + "/verify", body);
        if (!answer.isValid) throw new Error(JSON.stringify(answer));
        done++;
      }
    }),
  );
  return done;
}

async function theirs(world) {
  const child = spawn(process.execPath, [join(here, "official-facilitator.mjs"), world.info.rpc, generatePrivateKey()], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((resolve) => child.stdout.on("data", (d) => resolve(String(d).match(/ready (\S+)/)[1])));
  return { name: "official TypeScript", url, pid: child.pid, child };
}

async function ours(world, home) {
  const config = join(home, "facilitator.yaml");
  writeFileSync(config, `port: 0\nchains:\n  - { rpc: "${world.info.rpc}", network: "${NETWORK}", token: "${world.info.asset}", tokenName: USDC, tokenVersion: "2", decimals: 6 }\n`);
  const { child, ready } = startReady(["facilitator", "--config", config, "--home", home]);
  return { name: "gridtie", url: await ready, pid: child.pid, child };
}

const world = await startWorld();
const home = mkdtempSync(join(tmpdir(), "gridtie-bench-"));
const facilitators = [await ours(world, home), await theirs(world)];
const account = privateKeyToAccount(world.key);
const requirements = (scheme, extra) => ({ scheme, network: NETWORK, amount: "1000", asset: world.info.asset, payTo: world.info.payTo, maxTimeoutSeconds: 3600, extra: { name: "USDC", version: "2", ...extra } });

// A kind of payment: its scheme, what a 402 for it says, and who signs it.
const KINDS = {
  "exact by EIP-3009": ["exact", {}, () => new ExactEvmScheme(account)],
  "exact by Permit2": ["exact", { assetTransferMethod: "permit2" }, () => new ExactEvmScheme(account)],
  "upto": ["upto", {}, () => new UptoEvmScheme(account)],
  "batch-settlement, a deposit": ["batch-settlement", { withdrawDelay: 86400 }, () => new BatchSettlementEvmScheme(account)],
};

async function question(kind, facilitator) {
  const [scheme, extra, signer] = KINDS[kind];
  const supported = await (await fetch(facilitator.url + "/supported")).json();
  const accepted = requirements(scheme, { ...extra, ...supported.kinds.find((k) => k.scheme === scheme && k.x402Version === 2).extra });
  const { payload } = await signer().createPaymentPayload(2, accepted);
  return JSON.stringify({ x402Version: 2, paymentPayload: { x402Version: 2, payload, accepted }, paymentRequirements: accepted });
}

try {
  console.log(`${cpus().length} processors, Node ${process.version}; ${AT_ONCE} at once, ${SECONDS} s, median of ${ROUNDS} rounds; chain, load and both facilitators on one machine.\n`);
  console.log("| scheme | facilitator | CPU a verification, ms | verifications a second a core | wall, a second |\n|---|---|---|---|---|");
  for (const kind of Object.keys(KINDS)) {
    const bodies = new Map();
    for (const f of facilitators) {
      bodies.set(f, await question(kind, f));
      await load(f.url, bodies.get(f), WARM_UP);
    }
    const rows = new Map(facilitators.map((f) => [f, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const f of facilitators) {
        const before = cpu(f.pid);
        const done = await load(f.url, bodies.get(f), SECONDS);
        rows.get(f).push({ ms: (cpu(f.pid) - before) / done, wall: done / SECONDS });
      }
    }
    for (const f of facilitators) {
      const { ms, wall } = rows.get(f).sort((a, b) => a.ms - b.ms)[Math.floor(ROUNDS / 2)];
      console.log(`| ${kind} | ${f.name} | ${ms.toFixed(2)} | ${Math.round(1000 / ms)} | ${Math.round(wall)} |`);
    }
  }
} finally {
  for (const { child } of facilitators) {
    child.kill("SIGTERM");
    await ended(child);
  }
  rmSync(home, { recursive: true, force: true });
  await world.stop();
}
