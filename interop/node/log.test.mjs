// The public log, read and proved by Go's own implementation of transparency logs (golang.org/x/mod/sumdb): ../go/logcheck.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { ExactEvmScheme } from "@x402/evm";
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";
import { question, startWorld } from "./world.mjs";

const NETWORK = "eip155:84532";
const ENTRIES = 300; // more than one tile
const folder = mkdtempSync(join(tmpdir(), "gridtie-log-"));
const program = join(folder, "logcheck");
let world;
let noGo = false;
try {
  execFileSync("go", ["build", "-o", program, "./logcheck"], { cwd: new URL("../go/", import.meta.url).pathname, stdio: "pipe" });
} catch (e) {
  noGo = `Go cannot build interop/go: ${String(e.stderr ?? e).slice(0, 300)}`;
}

before(async () => {
  if (!noGo) world = await startWorld();
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const text = async (path) => (await fetch(world.url + path)).text();
/** Where the log's entries are as well, which say who paid what. */
const operators = () => world.info.admin;
const sizeOf = (checkpoint) => Number(checkpoint.split("\n")[1]);

async function buy() {
  const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: NETWORK, client: new ExactEvmScheme(privateKeyToAccount(world.key)) }] });
  const body = JSON.stringify(question("What is a receipt?", { max_tokens: 4 }));
  const answer = await pay(world.url + "/v1/chat/completions", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  assert.equal(answer.status, 200, await answer.clone().text());
}

/** The next checkpoint that is larger than one. */
async function grown(from) {
  for (let i = 0; i < 200; i++) {
    const now = await text("/log/checkpoint");
    if (sizeOf(now) > from) return now;
    await new Promise((r) => setTimeout(r, 100));
  }
  throw new Error("the log does not grow");
}

const check = async (...args) => JSON.parse((await promisify(execFile)(program, args)).stdout);

test("Go reads the log: every entry is proved, and it has grown from the checkpoint that was kept", { skip: noGo }, async () => {
  await buy();
  const first = await grown(3);
  const kept = join(folder, "kept");
  writeFileSync(kept, first);
  const alone = await check(operators());
  assert.ok(alone.receipts >= 1 && alone.proved === alone.size);
  let now = first;
  while (sizeOf(now) < ENTRIES) {
    for (let i = 0; i < 45; i++) await buy();
    now = await grown(sizeOf(now));
  }
  const all = await check(operators(), kept);
  assert.equal(all.grownFrom, sizeOf(first));
  assert.equal(all.proved, all.size);
  assert.ok(all.size >= ENTRIES);
  assert.ok(all.receipts > alone.receipts);
});

const bean = new URL("../python/.venv/bin/bean-check", import.meta.url).pathname;
const noBean = noGo || (existsSync(bean) ? false : "interop/python/.venv lacks bean-check: install requirements.txt");
let noLedger = noGo;
try {
  execFileSync("ledger", ["--version"], { stdio: "pipe" });
} catch {
  noLedger ||= "ledger-cli is not installed here (Debian: ledger)";
}

async function exported(format) {
  const file = join(folder, "books." + format);
  const { status, output } = await world.run("ledger", "export", "--format", format, "--out", file);
  assert.equal(status, 0, output);
  return file;
}

test("beancount takes the books", { skip: noBean }, async () => {
  const file = await exported("beancount");
  await promisify(execFile)(bean, [file]);
  writeFileSync(file + ".wrong", readFileSync(file, "utf8").replace(/(\d)\.(\d{12}) /, "$1.9$2 "));
  await assert.rejects(promisify(execFile)(bean, [file + ".wrong"]), "a changed amount is found");
});

test("ledger-cli takes the books, and comes to the same balances", { skip: noLedger }, async () => {
  const file = await exported("ledger");
  const { stdout } = await promisify(execFile)("ledger", ["-f", file, "--strict", "--flat", "balance", "Income", "Assets"]);
  const { output } = await world.run("ledger", "balance");
  for (const [owner, name] of [["/revenue", "Income:Revenue"], ["/custody:", "Assets:Custody"]]) {
    const ours = output.split("\n").find((line) => line.includes(owner)).trim().split(/\s+/)[0];
    const theirs = stdout.split("\n").find((line) => line.includes(name)).trim().split(/\s+/)[0];
    assert.equal(Number(theirs), -Number(ours), `${name}: ${theirs} and ${ours}`);
  }
});

/** A gateway that lies: what it says of some pages is changed. */
async function liar(lies) {
  const server = createServer(async (request, response) => {
    const answer = await fetch(operators() + request.url);
    let body = Buffer.from(await answer.arrayBuffer());
    for (const [path, change] of lies) if (path.test(request.url)) body = change(body);
    response.writeHead(answer.status).end(body);
  });
  const port = await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}

const flipped = (at) => (body) => {
  const other = Buffer.from(body);
  other[at < 0 ? other.length + at : at] ^= 1;
  return other;
};

test("Go finds a flipped bit wherever it is, and a log that was forked", { skip: noGo }, async () => {
  const kept = join(folder, "now");
  writeFileSync(kept, await text("/log/checkpoint"));
  const cases = {
    "a flipped bit of an entry": [[/tile\/entries\/000/, flipped(40)]],
    "a flipped bit of a hash": [[/tile\/0\/000/, flipped(100)]],
    "a flipped bit of a root's tile": [[/tile\/1\/000/, flipped(3)]],
    "another size": [[/checkpoint/, (b) => Buffer.from(b.toString().replace(/\n(\d+)\n/, (_, n) => `\n${n - 1}\n`))]],
    "a flipped bit of the signature": [[/checkpoint/, flipped(-5)]],
    "another proof": [[/proof\//, (b) => Buffer.from(b.toString().replace(/"path":\["./, '"path":["A'))]],
    "entries swapped": [[/tile\/entries\/000/, swapped]],
    "an entry missing": [[/tile\/entries\/000/, (b) => b.subarray(2 + b.readUInt16BE(0))]],
  };
  await check(operators(), kept);
  for (const [what, lies] of Object.entries(cases)) {
    const lying = await liar(lies);
    await assert.rejects(check(lying.url, kept), /logcheck:/, what);
    await lying.close();
  }
  const otherRoot = join(folder, "fork");
  writeFileSync(otherRoot, (await text("/log/checkpoint")).replace(/\n(\d+)\n/, (_, n) => `\n${n - 1}\n`));
  await assert.rejects(check(operators(), otherRoot), /logcheck:/, "a checkpoint that was never signed");
});

/** The first two entries of a bundle, the other way round. */
function swapped(bundle) {
  const first = 2 + bundle.readUInt16BE(0);
  const second = 2 + bundle.readUInt16BE(first);
  return Buffer.concat([bundle.subarray(first, first + second), bundle.subarray(0, first), bundle.subarray(first + second)]);
}
