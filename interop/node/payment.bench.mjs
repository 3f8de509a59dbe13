// What paying adds to a request: the gateway's CPU, the time to the first byte, and the chain's gas, by each way to pay, in one run. Usage: node payment.bench.mjs [REQUESTS]
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import { ExactEvmScheme } from "@x402/evm";
import { BatchSettlementEvmScheme, signVoucher } from "@x402/evm/batch-settlement/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { createSIWxPayload, encodeSIWxHeader } from "@x402/extensions/sign-in-with-x";
import { createPublicClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { question, startWorld } from "./world.mjs";

const REQUESTS = Number(process.argv[2] ?? 60);
const ROUNDS = 5;
const WARM_UP = 300;

/** A process's own time so far, children not included, in ms. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const world = await startWorld();
try {
  const pid = world.pid;
  const account = privateKeyToAccount(world.key);
  const chain = createPublicClient({ transport: http(world.info.rpc) });
  const { status, output } = await world.run("key", "create", "bench", "--limit-usd", "100");
  if (status !== 0) throw new Error(output);
  const key = output.trim().split("\n").at(-1);
  const url = world.url + "/v1/chat/completions";
  const asking = (more) => JSON.stringify(question("What is a receipt?", { stream: true, ...more }));
  const body = asking({ max_tokens: 8 });
  const ask = (headers, text = body) => fetch(url, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: text });
  const wanted = async (text) => decodePaymentRequiredHeader((await ask({}, text)).headers.get("PAYMENT-REQUIRED"));

  const required = await wanted();
  const permit2 = (a) => a.extra?.assetTransferMethod === "permit2";
  const payer = (accepted, scheme) => async () => {
    const { payload } = await scheme.createPaymentPayload(2, accepted);
    return { "PAYMENT-SIGNATURE": encodePaymentSignatureHeader({ x402Version: 2, payload, resource: required.resource, accepted }) };
  };
  // A channel with enough in it; the same request costs the same each time, so that vouchers can be signed beforehand.
  const channeled = required.accepts.find((a) => a.scheme === "batch-settlement");
  const needed = BigInt(channeled.amount) * BigInt(WARM_UP + ROUNDS * REQUESTS + 2);
  const { payload: opened } = await new BatchSettlementEvmScheme(account, { depositStrategy: () => needed.toString() }).createPaymentPayload(2, channeled);
  const deposited = await ask({ "PAYMENT-SIGNATURE": encodePaymentSignatureHeader({ x402Version: 2, payload: opened, resource: required.resource, accepted: channeled }) });
  const bill = decodePaymentResponseHeader((await deposited.text()).match(/^: PAYMENT-RESPONSE (\S+)$/m)[1]);
  const cost = BigInt(bill.extra.chargedAmount);
  let used = cost;
  const ways = {
    "by key": async () => ({ Authorization: `Bearer ${key}` }),
    "exact by EIP-3009": payer(required.accepts.find((a) => a.scheme === "exact" && !permit2(a)), new ExactEvmScheme(account)),
    "exact by Permit2": payer(required.accepts.find((a) => a.scheme === "exact" && permit2(a)), new ExactEvmScheme(account)),
    "from the balance": async () => {
      const extension = (await wanted()).extensions["sign-in-with-x"];
      const info = { ...extension.info, ...extension.supportedChains.find((c) => c.type === "eip191") };
      return { "SIGN-IN-WITH-X": encodeSIWxHeader(await createSIWxPayload(info, account, url)) };
    },
    "from a channel": async () => {
      used += cost;
      const voucher = await signVoucher(account, opened.voucher.channelId, (used - cost + BigInt(channeled.amount)).toString(), channeled.network);
      const payload = { type: "voucher", channelConfig: opened.channelConfig, voucher };
      return { "PAYMENT-SIGNATURE": encodePaymentSignatureHeader({ x402Version: 2, payload, resource: required.resource, accepted: channeled }) };
    },
    upto: payer(required.accepts.find((a) => a.scheme === "upto"), new UptoEvmScheme(account)),
  };

  // Long answers that end soon leave something over.
  for (let left = 0n; left < BigInt(required.accepts[0].amount) * BigInt(2 * WARM_UP + 2 * ROUNDS * REQUESTS); ) {
    const dear = asking({ max_tokens: 900 });
    const accepted = (await wanted(dear)).accepts.find((a) => a.scheme === "exact" && !permit2(a));
    const response = await ask(await payer(accepted, new ExactEvmScheme(account))(), dear);
    if (response.status !== 200) throw new Error(await response.text());
    await response.text();
    left += BigInt(accepted.amount) / 2n;
  }

  /** So many requests one after another, each signed beforehand. */
  async function run(headersOf, count) {
    const signed = [];
    for (let i = 0; i < count; i++) signed.push(await headersOf());
    const first = [];
    const transactions = [];
    const before = cpu(pid);
    for (const headers of signed) {
      const start = performance.now();
      const response = await ask(headers);
      const reader = response.body.getReader();
      const { value } = await reader.read();
      first.push(performance.now() - start);
      let text = new TextDecoder().decode(value);
      for (let part; !(part = await reader.read()).done; ) text += new TextDecoder().decode(part.value);
      if (response.status !== 200 || !text.includes("data: [DONE]")) throw new Error(`${response.status} ${text}`);
      const settled = response.headers.get("PAYMENT-RESPONSE") ?? text.match(/^: PAYMENT-RESPONSE (\S+)$/m)?.[1];
      const transaction = settled && decodePaymentResponseHeader(settled).transaction;
      if (transaction) transactions.push(transaction);
    }
    return { ms: (cpu(pid) - before) / count, first: median(first), transactions };
  }

  for (const headersOf of Object.values(ways)) await run(headersOf, WARM_UP);
  const rows = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  for (let round = 0; round < ROUNDS; round++) for (const [way, headersOf] of Object.entries(ways)) rows[way].push(await run(headersOf, REQUESTS));

  console.log(`${cpus().length} processors, Node ${process.version}; ${REQUESTS} requests one after another, median of ${ROUNDS} rounds; a chain that mines at once.\n`);
  console.log("| paid | the gateway's CPU a request, ms | added | first byte, p50, ms | added | gas for 1,000 requests |\n|---|---|---|---|---|---|");
  const base = rows["by key"];
  for (const [way, runs] of Object.entries(rows)) {
    const ms = median(runs.map((r) => r.ms));
    const first = median(runs.map((r) => r.first));
    let gas = 0n;
    const { transactions } = runs.at(-1);
    for (const hash of transactions) gas += (await chain.getTransactionReceipt({ hash })).gasUsed;
    const thousand = transactions.length === 0 ? "none" : ((gas * 1000n) / BigInt(transactions.length)).toLocaleString("en");
    console.log(`| ${way} | ${ms.toFixed(1)} | ${(ms - median(base.map((r) => r.ms))).toFixed(1)} | ${first.toFixed(1)} | ${(first - median(base.map((r) => r.first))).toFixed(1)} | ${thousand} |`);
  }
} finally {
  await world.stop();
}
