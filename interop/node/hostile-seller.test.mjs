// The browser's module against a seller that answers as it likes: what the seller can take never exceeds the caps. No gateway, no network.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { privateKeyToAccount } from "viem/accounts";

const MODULE = new URL("../../gateway/src/main/resources/dev/gridtie/gateway/edge/gridtie.js", import.meta.url).href;
const NETWORK = "eip155:84532";
const TOKEN = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const SELLER = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
const wallet = privateKeyToAccount("0x" + "11".repeat(32));
const REQUEST_MAX = 100;
const DAY_MAX = 1000;
const real = { fetch: globalThis.fetch, setTimeout: globalThis.setTimeout, now: Date.now, storage: Object.getOwnPropertyDescriptor(globalThis, "localStorage") };

/** A small generator from a seed (mulberry32). */
function seeded(seed) {
  let a = seed >>> 0;
  const unit = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { below: (n) => Math.floor(unit() * n), chance: (p) => unit() < p, of: (list) => list[Math.floor(unit() * list.length)] };
}

let clock = 0;
let stored;
const NativeDate = Date;

before(() => {
  globalThis.setTimeout = (f) => (queueMicrotask(f), 0);
  globalThis.Date = class extends NativeDate {
    constructor(...args) {
      super(...(args.length ? args : [clock]));
    }
    static now = () => clock;
  };
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    value: { getItem: (k) => stored.get(k) ?? null, setItem: (k, v) => stored.set(k, v), removeItem: (k) => stored.delete(k) },
  });
});
after(() => {
  globalThis.fetch = real.fetch;
  globalThis.setTimeout = real.setTimeout;
  globalThis.Date = NativeDate;
  if (real.storage) Object.defineProperty(globalThis, "localStorage", real.storage);
  else delete globalThis.localStorage;
});

const b64 = (json) => Buffer.from(JSON.stringify(json)).toString("base64");
const offer = (amount, maxTimeoutSeconds) => ({
  scheme: "exact",
  network: NETWORK,
  amount: String(amount),
  asset: TOKEN,
  payTo: SELLER,
  maxTimeoutSeconds,
  extra: { name: "USDC", version: "2" },
});
const required = (...accepts) => b64({ x402Version: 2, resource: { url: "http://seller/" }, accepts });
const answer = (whole = true) => `data: {"choices":[{"delta":{"content":"well"}}]}\n\n${whole ? "data: [DONE]\n\n" : ""}`;
const load = (n) => import(`${MODULE}?${n}`);

/** Answers by a script: `take` sees what was paid, `next` says what comes. */
function seller({ take, next, price, delivered }) {
  globalThis.fetch = async (url, { headers, body }) => {
    const payment = headers["PAYMENT-SIGNATURE"];
    const status = payment ? next() : 402;
    if (payment) take(JSON.parse(Buffer.from(payment, "base64")).payload.authorization, body);
    if (status === "lost") throw new TypeError("fetch failed");
    if (status === 200) delivered?.(JSON.parse(Buffer.from(payment, "base64")).payload.authorization);
    if (status === "cut") return new Response(answer(false), { status: 200 });
    return new Response(status === 200 ? answer() : "{}", { status, headers: status === 402 ? { "PAYMENT-REQUIRED": price() } : {} });
  };
}

describe("a seller that takes the signature and denies it", () => {
  for (const status of [302, 400, 402, 409, 429, 500, 502, 504, "cut", "lost"]) {
    test(`after ${status} the same question sends the same payment, which counts and lasts for 90 s`, async () => {
      stored = new Map();
      clock = NativeDate.UTC(2027, 0, 15, 12);
      const got = new Map();
      let well = false;
      seller({ take: (a) => got.set(a.nonce, a), next: () => (well ? 200 : status), price: () => required(offer(50, 315360000)) });
      const ask = async (n) =>
        (await load(n)).ask({ gateway: "http://seller", model: "m", prompt: "again", wallet, maxUsd: "0.0001", maxUsdDay: "0.001", coins: { [NETWORK]: TOKEN } });
      await assert.rejects(ask("a"));
      await assert.rejects(ask("b"), "a page that was opened anew");
      assert.equal(got.size, 1, "signed anew");
      assert.ok(Number([...got.values()][0].validBefore) <= clock / 1000 + 90);
      assert.equal(JSON.parse(stored.get("gridtie-payments")).spent, "50");
      well = true;
      assert.equal((await ask("c")).text, "well");
      assert.equal((await ask("c")).text, "well");
      assert.equal(got.size, 2, "a new question is a new payment");
    });
  }

  test("what it holds never exceeds the caps, however it answers", async () => {
    for (let seed = 402; seed < 410; seed++) {
      const random = seeded(seed);
      stored = new Map();
      clock = NativeDate.UTC(2027, 0, 15, 23, 40);
      const held = new Map();
      seller({
        take: (a, body) => {
          assert.ok(Number(a.validBefore) <= clock / 1000 + 90, `seed ${seed}: valid for what the buyer chose`);
          assert.ok(Number(a.value) <= REQUEST_MAX);
          if (!held.has(a.nonce)) held.set(a.nonce, { request: body, value: Number(a.value), until: Number(a.validBefore), settled: null });
        },
        delivered: (a) => (held.get(a.nonce).request = null),
        next: () => random.of([200, 402, 400, 409, 429, 500, 502, 504, 302, "cut", "lost"]),
        price: () => required(offer(1 + random.below(REQUEST_MAX + 10), random.of([5, 60, 300, 315360000])), offer(1 + random.below(2 * REQUEST_MAX), 60)),
      });
      const day = (ms) => new NativeDate(ms).toISOString().slice(0, 10);
      const requireBounds = () => {
        let money = 0;
        const open = new Map();
        for (const one of held.values()) {
          const live = one.settled === null && clock / 1000 < one.until;
          if (live || (one.settled !== null && day(one.settled) === day(clock))) money += one.value;
          if (live && one.request) open.set(one.request, (open.get(one.request) ?? 0) + 1);
        }
        assert.ok(money <= DAY_MAX, `seed ${seed}: ${money} can leave the wallet today`);
        for (const n of open.values()) assert.equal(n, 1, `seed ${seed}: signatures for one request`);
      };
      for (let i = 0; i < 80; i++) {
        const { ask } = await load(random.chance(0.1) ? `${seed}-${i}` : seed);
        await ask({
          gateway: "http://seller",
          model: "m",
          prompt: `question ${random.below(25)}`,
          wallet,
          maxUsd: "0.0001",
          maxUsdDay: "0.001",
          coins: { [NETWORK]: TOKEN },
        }).catch((e) => assert.ok(e.code || e.name === "TypeError", `seed ${seed}: ${e.stack}`));
        requireBounds();
        for (const one of held.values()) if (one.settled === null && clock / 1000 < one.until && random.chance(0.3)) one.settled = clock;
        clock += 1000 * (random.chance(0.1) ? 3600 + random.below(20000) : random.below(20));
        requireBounds();
      }
      assert.ok(held.size > 3, `seed ${seed}: the buyer does pay`);
    }
  });
});
