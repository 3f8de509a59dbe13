// A Solana for tests: litesvm (the real runtime and token programs) behind the handful of JSON-RPC methods that paying uses, and two of its own.
// Usage: node bridge.mjs PORT; prints "ready PORT".
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { LiteSVM } from "litesvm";

// The very same kit that litesvm speaks.
const kit = await import(createRequire(createRequire(import.meta.url).resolve("litesvm")).resolve("@solana/kit"));
const { getTransactionDecoder, getBase58Decoder } = kit;

const BODY_BYTES_MAX = 1024 * 1024;
/** How many blocks a transaction may name the past for, as on Solana. */
const BLOCKS_VALID = 150;

const svm = new LiteSVM();
const statuses = new Map();
let height = 1;

const value = (v) => ({ context: { slot: height }, value: v });
const decode = (base64) => getTransactionDecoder().decode(Buffer.from(base64, "base64"));
const failed = (result) => (typeof result.err === "function" ? String(result.err()) : null);
const idOf = (transaction) => getBase58Decoder().decode(Object.values(transaction.signatures)[0]);

function send(base64) {
  const transaction = decode(base64);
  const id = idOf(transaction);
  if (statuses.has(id)) return id;
  const result = svm.sendTransaction(transaction);
  const error = failed(result);
  height++;
  // A node that skips preflight takes what it cannot carry out, and drops what it cannot even begin.
  if (error === null) statuses.set(id, null);
  else if (!/Blockhash|Signature|AlreadyProcessed/i.test(error)) statuses.set(id, error);
  return id;
}

const status = (err) => ({ slot: height, confirmations: 1, status: err === null ? { Ok: null } : { Err: err }, err, confirmationStatus: "confirmed" });

/** Who pays the fee may sign last: until then its place is empty, and only a node that is asked to looks at that. */
function simulate(transaction, verifySignatures) {
  const signatures = Object.fromEntries(Object.entries(transaction.signatures).map(([who, signature]) => [who, signature ?? new Uint8Array(64)]));
  svm.withSigverify(verifySignatures);
  try {
    return svm.simulateTransaction({ ...transaction, signatures });
  } finally {
    svm.withSigverify(true);
  }
}

const methods = {
  getHealth: () => "ok",
  getGenesisHash: () => "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG", // devnet's, as which the tests configure it
  getLatestBlockhash: () => value({ blockhash: svm.latestBlockhash(), lastValidBlockHeight: height + BLOCKS_VALID }),
  getBlockHeight: () => height,
  getBalance: ([address]) => value(Number(svm.getBalance(address) ?? 0n)),
  requestAirdrop: ([address, lamports]) => {
    svm.airdrop(address, BigInt(lamports));
    return "airdrop";
  },
  getAccountInfo: ([address]) => {
    const account = svm.getAccount(address);
    if (!account?.exists) return value(null);
    const data = Buffer.from(account.data).toString("base64");
    return value({ owner: account.programAddress, lamports: Number(account.lamports), data: [data, "base64"], executable: account.executable, rentEpoch: 0, space: account.data.length });
  },
  simulateTransaction: ([base64, how]) => {
    const result = simulate(decode(base64), how?.sigVerify === true);
    return value({ err: failed(result), logs: [], unitsConsumed: 0 });
  },
  sendTransaction: ([base64]) => send(base64),
  getSignatureStatuses: ([ids]) =>
    value(ids.map((id) => (statuses.has(id) ? status(statuses.get(id)) : null))),
  // Not Solana's.
  test_setAccount: ([address, programAddress, data, lamports]) => {
    const bytes = Buffer.from(data, "base64");
    svm.setAccount({ address, programAddress, data: new Uint8Array(bytes), lamports: BigInt(lamports), executable: false, space: BigInt(bytes.length), exists: true });
    return true;
  },
  test_expire: () => {
    svm.expireBlockhash();
    height += BLOCKS_VALID + 1;
    return height;
  },
};

function answer(body) {
  const { id, method, params } = JSON.parse(body);
  const reply = { jsonrpc: "2.0", id };
  if (!(method in methods)) return { ...reply, error: { code: -32601, message: `no method ${method}` } };
  try {
    return { ...reply, result: methods[method](params ?? []) };
  } catch (e) {
    return { ...reply, error: { code: -32000, message: String(e?.message ?? e) } };
  }
}

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => {
    body += part;
    if (body.length > BODY_BYTES_MAX) request.destroy();
  });
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    try {
      response.end(JSON.stringify(answer(body)));
    } catch (e) {
      response.statusCode = 400;
      response.end(JSON.stringify({ error: { message: String(e) } }));
    }
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`ready ${server.address().port}`));
