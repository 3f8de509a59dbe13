/**
 * Asks a Gridtie gateway from any web page, and pays for each answer from the reader's own wallet: one click, one answer, no account, no redirect.
 * An ES module; nothing to build, and nothing that it loads.
 *
 *   import { ask } from "https://models.example.com/sdk/gridtie.js";
 *   const { text } = await ask({ gateway: "https://models.example.com", model: "gridtie/tiny", prompt: "What is a receipt?", wallet: window.ethereum });
 *
 *   <script type="module" src="https://models.example.com/sdk/gridtie.js"></script>
 *   <gridtie-ask model="gridtie/tiny" max-usd="0.01"></gridtie-ask>
 *
 * A wallet is an EIP-1193 provider (window.ethereum), or a local account: anything with `address` and `signTypedData(typedData)`, such as viem's
 * privateKeyToAccount(…). It pays by x402 (version 2, scheme exact by EIP-3009), and never more than `maxUsd` for an answer and `maxUsdDay` on a day
 * (UTC). What was signed counts, whatever the gateway answers; it is valid for 90 seconds at most, whatever the gateway asks; and while it can be
 * settled, the same question sends it again and nothing new is signed for it. Both stand in the browser's storage for the page's origin.
 */

/** USDC where Circle issues it: what is paid in unless `coins` says otherwise. All have six decimals. */
export const USDC = {
  "eip155:8453": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
  "eip155:84532": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
  "eip155:1": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
  "eip155:42161": "0xaf88d065e77c8cC2239327C5EDb3A432268e5831",
  "eip155:137": "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359",
  "eip155:43114": "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E",
};
const DECIMALS = 6;
const PAID_ATTEMPTS = 5;
const PAUSE_MS = 500;
/** Answers after which the same payment is sent again at once. */
const PASSING = [429, 500, 502, 503, 504];
/** How long what is signed may be settled, in seconds, whatever the gateway asks. */
const VALID_SECONDS = 90;
/** How far our clock may be ahead of the chain's, in seconds. */
const MARGIN_SECONDS = 60;
/** How long a wallet may take to sign, in seconds. */
const SIGNING_SECONDS = 300;
/** How many signatures are remembered. */
const SIGNED_MAX = 64;
/** How long an answer's stream may be, in characters; and an event of it. */
const EVENT_CHARS_MAX = 1024 * 1024;

const here = new URL(import.meta.url).origin;

/** What went wrong, with a `code` that stays the same: payment_refused, payment_open, too_expensive, day_limit, no_wallet, wallet_refused, no_storage, cut_off,
 *  or the gateway's own. */
export class GridtieError extends Error {
  constructor(code, message, more = {}) {
    super(message);
    this.name = "GridtieError";
    this.code = code;
    Object.assign(this, more);
  }
}

const encode = (json) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(json))));
const decode = (base64) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))));
const hex = (bytes) => "0x" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Dollars as whole atomic units, without a detour through fractions. */
function atomic(usd, option = "maxUsd") {
  const match = /^(\d{1,9})(?:\.(\d{1,6})\d*)?$/.exec(String(usd));
  if (!match) throw new GridtieError("bad_option", `${option} must be dollars, such as 0.05, not ${usd}`);
  return BigInt(match[1]) * 10n ** BigInt(DECIMALS) + BigInt((match[2] ?? "").padEnd(DECIMALS, "0") || 0);
}
const dollars = (units) => {
  const text = BigInt(units).toString().padStart(DECIMALS + 1, "0");
  return (text.slice(0, -DECIMALS) + "." + text.slice(-DECIMALS)).replace(/\.?0+$/, "") || "0";
};

/** A wallet as two functions: whose it is, and how it signs on a chain. */
function signerOf(wallet) {
  if (wallet && typeof wallet.signTypedData === "function" && wallet.address) {
    return { address: async () => wallet.address, sign: (_, typed) => wallet.signTypedData(typed) };
  }
  if (!wallet || typeof wallet.request !== "function") {
    throw new GridtieError("no_wallet", "There is no wallet to pay from: install one, or hand one over as 'wallet'.");
  }
  const refused = (e) => new GridtieError("wallet_refused", e?.message ?? "The wallet did not sign.", { cause: e });
  return {
    address: async () => {
      try {
        return (await wallet.request({ method: "eth_requestAccounts" }))[0];
      } catch (e) {
        throw refused(e);
      }
    },
    sign: async (chainId, typed) => {
      const wanted = "0x" + chainId.toString(16);
      try {
        if ((await wallet.request({ method: "eth_chainId" })) !== wanted) {
          await wallet.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
        }
        return await wallet.request({ method: "eth_signTypedData_v4", params: [typed.message.from, JSON.stringify(typed)] });
      } catch (e) {
        throw refused(e);
      }
    },
  };
}

const TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ],
  TransferWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};

/** The cheapest offer of a 402 that may be paid; throws where there is none. */
function choose(required, { maxUsd, coins }) {
  const payable = (required.accepts ?? []).filter(
    (a) =>
      /^\d{1,30}$/.test(a.amount) && Number.isInteger(a.maxTimeoutSeconds) && a.maxTimeoutSeconds > 0 && a.scheme === "exact" && !a.extra?.assetTransferMethod && coins[a.network]?.toLowerCase() === a.asset.toLowerCase() && a.extra?.name && a.extra?.version,
  );
  if (payable.length === 0) throw new GridtieError("payment_refused", "The gateway wants to be paid in a way, network or coin that is not allowed here.");
  const cheapest = payable.reduce((a, b) => (BigInt(b.amount) < BigInt(a.amount) ? b : a));
  if (BigInt(cheapest.amount) > atomic(maxUsd)) {
    throw new GridtieError("too_expensive", `The answer could cost $${dollars(cheapest.amount)}, and at most $${maxUsd} may be paid for it.`);
  }
  return cheapest;
}

/** Signs what was chosen (EIP-3009), valid until Unix seconds: the header's value. */
async function sign(required, accepted, until, wallet) {
  const signer = signerOf(wallet);
  const chainId = Number(accepted.network.split(":")[1]);
  const from = await signer.address();
  const authorization = {
    from,
    to: accepted.payTo,
    value: accepted.amount,
    validAfter: "0",
    validBefore: String(until),
    nonce: hex(crypto.getRandomValues(new Uint8Array(32))),
  };
  const signature = await signer.sign(chainId, {
    types: TYPES,
    primaryType: "TransferWithAuthorization",
    domain: { name: accepted.extra.name, version: accepted.extra.version, chainId, verifyingContract: accepted.asset },
    message: authorization,
  });
  return encode({ x402Version: 2, payload: { signature, authorization }, resource: required.resource, accepted });
}

const seconds = () => Math.floor(Date.now() / 1000);
const today = () => new Date().toISOString().slice(0, 10);
/** Whether it can still be settled, as far as a clock can tell. */
const isOpen = (one) => seconds() < one.until + MARGIN_SECONDS;

/**
 * What was signed: `spent` on `day`, in atomic units, and each signature that can still be settled or was not answered in full, with the request it is
 * for. For all tabs of the page's origin, and across restarts; without storage, for as long as the page lives.
 */
const book = {
  STORED: "gridtie-payments",
  memory: null,
  async name(url, body) {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(url + "\n" + body));
    return hex(new Uint8Array(hash));
  },
  /** Changes it, alone; what `step` returns. */
  change(step) {
    const locked = async () => {
      const all = this.read();
      const result = step(all);
      this.write(all);
      return result;
    };
    return globalThis.navigator?.locks ? navigator.locks.request(this.STORED, locked) : locked();
  },
  storage() {
    try {
      return globalThis.localStorage ?? null;
    } catch {
      return null; // a page that may not store anything
    }
  },
  read() {
    const text = this.storage() ? this.storage().getItem(this.STORED) : this.memory;
    let all = { day: today(), spent: "0", signed: [] };
    if (text) {
      try {
        all = JSON.parse(text);
        BigInt(all.spent);
        all.signed.forEach((one) => BigInt(one.amount));
      } catch (e) {
        throw new GridtieError("no_storage", "What was paid before cannot be read, so nothing is paid: clear this page's storage.", { cause: e });
      }
    }
    if (all.day < today()) {
      all.day = today();
      all.spent = "0";
    }
    all.signed = all.signed.filter((one) => one.request || isOpen(one));
    return all;
  },
  write(all) {
    const text = JSON.stringify(all);
    this.memory = text;
    try {
      this.storage()?.setItem(this.STORED, text);
    } catch (e) {
      throw new GridtieError("no_storage", "What is paid cannot be noted, so nothing is paid.", { cause: e });
    }
  },
  /** What counts today: what was signed today, and before and can still be settled. */
  counted: (all) => all.signed.filter((one) => one.day < all.day && isOpen(one)).reduce((sum, one) => sum + BigInt(one.amount), BigInt(all.spent)),
  find: (all, request) => all.signed.find((one) => one.request === request),
};

/** The payment to send for a request: what was signed for it before, or one that is signed now within the limits. */
async function payment(request, required, { wallet, maxUsd, maxUsdDay, coins, validSeconds }) {
  const accepted = choose(required, { maxUsd, coins });
  signerOf(wallet);
  const until = seconds() + Math.min(accepted.maxTimeoutSeconds, validSeconds);
  const earlier = await book.change((all) => {
    const before = book.find(all, request);
    if (before) return before;
    if (all.signed.length >= SIGNED_MAX) all.signed = all.signed.filter(isOpen);
    if (all.signed.length >= SIGNED_MAX) throw new GridtieError("payment_open", "Too many payments were signed and not answered; wait a minute.");
    if (book.counted(all) + BigInt(accepted.amount) > atomic(maxUsdDay, "maxUsdDay")) {
      throw new GridtieError("day_limit", `The answer could cost $${dollars(accepted.amount)}, and at most $${maxUsdDay} may be paid on a day; $${dollars(book.counted(all))} were signed for today.`);
    }
    all.spent = String(BigInt(all.spent) + BigInt(accepted.amount));
    all.signed.push({ request, amount: accepted.amount, day: all.day, until: until + SIGNING_SECONDS });
    return null;
  });
  if (earlier) {
    if (!earlier.header) throw new GridtieError("payment_open", "A payment for this question is being signed already.");
    return earlier;
  }
  try {
    // The wallet may have taken its time.
    const end = seconds() + Math.min(accepted.maxTimeoutSeconds, validSeconds);
    const header = await sign(required, accepted, end, wallet);
    return await book.change((all) => {
      const one = book.find(all, request);
      one.header = header;
      one.until = end;
      return one;
    });
  } catch (e) {
    // Nothing was signed that left this page.
    await book.change((all) => {
      const one = book.find(all, request);
      if (one && one.day === all.day) all.spent = String(BigInt(all.spent) - BigInt(one.amount));
      all.signed = all.signed.filter((other) => other !== one);
    });
    throw e;
  }
}

/** Its answer came: the same question is a new one from now on. The signature counts for as long as it can be settled. */
const delivered = (request) =>
  book.change((all) => {
    const one = book.find(all, request);
    if (one) {
      delete one.request;
      delete one.header;
    }
  });

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  return new GridtieError(body.error?.code ?? "gateway_error", body.error?.message ?? `The gateway says ${response.status}.`, { status: response.status });
}

/** Events of a stream, whole, however its bytes are cut. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    if (rest.length > EVENT_CHARS_MAX) throw new GridtieError("cut_off", "The answer cannot be read.");
    const parts = rest.split("\n\n");
    rest = parts.pop();
    yield* parts;
  }
}

/**
 * Reads an answer.
 *
 * @param shown what the reader has seen of it before; only more is told
 */
async function read(response, onText, shown = { text: "" }) {
  let text = "";
  let whole = false;
  for await (const event of events(response.body)) {
    if (event === "data: [DONE]") whole = true;
    else if (event.startsWith("data: ")) {
      const json = JSON.parse(event.slice(6));
      if (json.error) throw new GridtieError(json.error.code ?? "cut_off", json.error.message, { text, ended: true });
      text += json.choices?.[0]?.delta?.content ?? "";
      if (text.length > shown.text.length && text.startsWith(shown.text)) {
        const piece = text.slice(shown.text.length);
        shown.text = text;
        onText?.(piece, text);
      }
    }
  }
  if (!whole) throw new GridtieError("cut_off", "The answer broke off; only what came was charged.", { text });
  return text;
}

/**
 * Asks, pays where that is wanted, and gives the answer as it comes.
 *
 * @param {object} options
 * @param {string} [options.gateway] its URL; default: whence this module came
 * @param {string} options.model
 * @param {string} [options.prompt] or `messages`, as OpenAI's chat completions have them
 * @param {object} [options.wallet] an EIP-1193 provider or a local account; default: window.ethereum
 * @param {string|number} [options.maxUsd] the most that may be paid; default 0.05
 * @param {string|number} [options.maxUsdDay] the most that may be signed for on a day (UTC), by all pages of this origin; default 1
 * @param {number} [options.validSeconds] how long what is signed may be settled at most; default 90
 * @param {object} [options.coins] by network; default: USDC
 * @param {(piece: string, all: string) => void} [options.onText] hears the answer as it comes
 * @param {AbortSignal} [options.signal]
 * @param {object} [options.more] further fields of the request, such as max_tokens
 * @returns {Promise<{text: string, paidUsd: string, transaction?: string, receipt?: string}>} where `paidUsd` is what moved; what was not used is the wallet's balance at
 *   the gateway, and `receipt` says how much
 */
export async function ask({
  gateway = here,
  model,
  prompt,
  messages,
  wallet = globalThis.ethereum,
  maxUsd = "0.05",
  maxUsdDay = "1",
  validSeconds = VALID_SECONDS,
  coins = USDC,
  onText,
  signal,
  more = {},
}) {
  const url = gateway.replace(/\/+$/, "") + "/v1/chat/completions";
  const body = JSON.stringify({ model, messages: messages ?? [{ role: "user", content: prompt }], stream: true, ...more });
  const request = await book.name(url, body);
  // A redirect is not followed: what it leads to was not chosen.
  const send = (headers) =>
    fetch(url, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body, signal, credentials: "omit", redirect: "error" });
  const shown = { text: "" };

  let paid = await book.change((all) => book.find(all, request));
  if (paid && !paid.header) {
    if (isOpen(paid)) throw new GridtieError("payment_open", "A payment for this question is being signed already.");
    await delivered(request); // a page that was closed while its wallet asked
    paid = undefined;
  }
  while (true) {
    if (!paid) {
      const first = await send({});
      if (first.status === 200) return { text: await read(first, onText, shown), paidUsd: "0" };
      const required = first.headers.get("PAYMENT-REQUIRED");
      if (first.status !== 402 || !required) throw await failure(first);
      paid = await payment(request, decode(required), { wallet, maxUsd, maxUsdDay, coins, validSeconds });
    }
    const response = await answerTo(paid, send, signal, async (answer) => {
      const receipt = answer.headers.get("X-Gridtie-Receipt") ?? undefined;
      const settled = answer.headers.get("PAYMENT-RESPONSE");
      const { transaction, amount } = settled ? decode(settled) : {};
      try {
        const text = await read(answer, onText, shown);
        await delivered(request);
        return { text, paidUsd: dollars(amount ?? paid.amount), transaction, receipt };
      } catch (e) {
        if (e.ended) await delivered(request);
        throw e;
      }
    });
    if (response.answer) return response.answer;
    const why = await failure(response.refused);
    if (response.refused.status < 400 || response.refused.status > 499 || isOpen(paid)) {
      if (isOpen(paid)) why.openUntil = new Date((paid.until + MARGIN_SECONDS) * 1000);
      throw why;
    }
    await delivered(request); // it was never taken, and by now never will be
    paid = undefined;
  }
}

/**
 * Sends one payment until it is answered or refused: the same one after whatever may pass, as nobody knows whether it arrived.
 *
 * @returns {Promise<{answer?: object, refused?: Response}>}
 */
async function answerTo(paid, send, signal, take) {
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await send({ "PAYMENT-SIGNATURE": paid.header });
      if (response.status === 200) return { answer: await take(response) };
    } catch (e) {
      if (signal?.aborted || e.ended || attempt >= PAID_ATTEMPTS) throw e;
      response = undefined;
    }
    if (response && (!PASSING.includes(response.status) || attempt >= PAID_ATTEMPTS)) return { refused: response };
    await sleep(PAUSE_MS * attempt);
  }
}

const STYLE = `
:host { display: block; font: 16px/1.5 system-ui, sans-serif; color: CanvasText; max-width: 42rem; }
form { display: flex; gap: .5rem; align-items: flex-end; }
textarea { flex: 1; font: inherit; color: inherit; background: Canvas; border: 1px solid color-mix(in srgb, CanvasText 30%, Canvas); border-radius: .5rem; padding: .5rem .75rem; resize: vertical; min-height: 2.75rem; box-sizing: border-box; }
button { font: inherit; font-weight: 600; padding: .5rem 1rem; min-height: 2.75rem; border: 0; border-radius: .5rem; background: #1a6b45; color: #fff; cursor: pointer; white-space: nowrap; }
button:disabled { opacity: .6; cursor: default; }
button:focus-visible, textarea:focus-visible { outline: 3px solid #58b98a; outline-offset: 2px; }
output { display: block; white-space: pre-wrap; margin-top: .75rem; }
output:empty { margin: 0; }
small { display: block; margin-top: .5rem; opacity: .75; }
small.error { color: #b3261e; opacity: 1; }
@media (prefers-color-scheme: dark) { :host { color-scheme: dark; } small.error { color: #ff8a80; } }
`;

/** A question, a button and the answer. Attributes: model, gateway, max-usd, max-usd-day, max-tokens, label, prompt, placeholder. Properties: wallet, coins. Events: answered, failed. */
class GridtieAsk extends (globalThis.HTMLElement ?? class {}) {
  connectedCallback() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style><form><textarea rows="1" required aria-label="Your question"></textarea><button type="submit"></button></form><output aria-live="polite"></output><small hidden></small>`;
    const [question, button, output, note] = ["textarea", "button", "output", "small"].map((s) => root.querySelector(s));
    question.placeholder = this.getAttribute("placeholder") ?? "Ask something";
    question.value = this.getAttribute("prompt") ?? "";
    const maxUsd = this.getAttribute("max-usd") ?? "0.05";
    button.textContent = this.getAttribute("label") ?? `Ask for at most $${maxUsd}`;
    question.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey) {
        e.preventDefault();
        root.querySelector("form").requestSubmit();
      }
    });
    root.querySelector("form").addEventListener("submit", (e) => {
      e.preventDefault();
      if (!button.disabled) this.#ask({ question, button, output, note, maxUsd });
    });
  }

  async #ask({ question, button, output, note, maxUsd }) {
    const say = (text, error = false) => {
      note.hidden = false;
      note.className = error ? "error" : "";
      note.textContent = text;
    };
    button.disabled = true;
    output.textContent = "";
    say("Waiting for your wallet …");
    const tokens = Number(this.getAttribute("max-tokens"));
    try {
      const answer = await ask({
        gateway: this.getAttribute("gateway") ?? undefined,
        model: this.getAttribute("model") ?? "",
        prompt: question.value,
        wallet: this.wallet ?? globalThis.ethereum,
        coins: this.coins ?? USDC,
        maxUsd,
        maxUsdDay: this.getAttribute("max-usd-day") ?? "1",
        onText: (_, all) => {
          note.hidden = true;
          output.textContent = all;
        },
        more: tokens > 0 ? { max_tokens: tokens } : {},
      });
      say(answer.paidUsd === "0" ? "Free of charge." : `Paid $${answer.paidUsd}${answer.receipt ? `, receipt ${answer.receipt}` : ""}.`);
      this.dispatchEvent(new CustomEvent("answered", { detail: answer, bubbles: true }));
    } catch (e) {
      say(e.message, true);
      this.dispatchEvent(new CustomEvent("failed", { detail: e, bubbles: true }));
    } finally {
      button.disabled = false;
    }
  }
}

if (globalThis.customElements && !customElements.get("gridtie-ask")) customElements.define("gridtie-ask", GridtieAsk);
