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
 * privateKeyToAccount(…). It pays by x402 (version 2, scheme exact by EIP-3009), and never more than `maxUsd` for an answer.
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
/** How long an answer's stream may be, in characters; and an event of it. */
const EVENT_CHARS_MAX = 1024 * 1024;

const here = new URL(import.meta.url).origin;

/** What went wrong, with a `code` that stays the same: payment_refused, too_expensive, no_wallet, wallet_refused, cut_off, or the gateway's own. */
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
function atomic(usd) {
  const match = /^(\d{1,9})(?:\.(\d{1,6})\d*)?$/.exec(String(usd));
  if (!match) throw new GridtieError("bad_option", `maxUsd must be dollars, such as 0.05, not ${usd}`);
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
    (a) => a.scheme === "exact" && !a.extra?.assetTransferMethod && coins[a.network]?.toLowerCase() === a.asset.toLowerCase() && a.extra?.name && a.extra?.version,
  );
  if (payable.length === 0) throw new GridtieError("payment_refused", "The gateway wants to be paid in a way, network or coin that is not allowed here.");
  const cheapest = payable.reduce((a, b) => (BigInt(b.amount) < BigInt(a.amount) ? b : a));
  if (BigInt(cheapest.amount) > atomic(maxUsd)) {
    throw new GridtieError("too_expensive", `The answer could cost $${dollars(cheapest.amount)}, and at most $${maxUsd} may be paid for it.`);
  }
  return cheapest;
}

/** Signs a payment (EIP-3009): the header's value. */
async function pay(required, options) {
  const accepted = choose(required, options);
  const signer = signerOf(options.wallet);
  const chainId = Number(accepted.network.split(":")[1]);
  const from = await signer.address();
  const authorization = {
    from,
    to: accepted.payTo,
    value: accepted.amount,
    validAfter: "0",
    validBefore: String(Math.floor(Date.now() / 1000) + accepted.maxTimeoutSeconds),
    nonce: hex(crypto.getRandomValues(new Uint8Array(32))),
  };
  const signature = await signer.sign(chainId, {
    types: TYPES,
    primaryType: "TransferWithAuthorization",
    domain: { name: accepted.extra.name, version: accepted.extra.version, chainId, verifyingContract: accepted.asset },
    message: authorization,
  });
  return { header: encode({ x402Version: 2, payload: { signature, authorization }, resource: required.resource, accepted }), amount: accepted.amount };
}

/** What was signed and not answered, by request: the same question sends the same payment, and never signs anew. Lives as long as the tab. */
const journal = {
  async name(url, body) {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(url + "\n" + body));
    return "gridtie-payment-" + hex(new Uint8Array(hash));
  },
  get: (name) => JSON.parse(globalThis.sessionStorage?.getItem(name) ?? "null"),
  put: (name, paid) => globalThis.sessionStorage?.setItem(name, JSON.stringify(paid)),
  remove: (name) => globalThis.sessionStorage?.removeItem(name),
};

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

async function read(response, onText) {
  let text = "";
  let whole = false;
  for await (const event of events(response.body)) {
    if (event === "data: [DONE]") whole = true;
    else if (event.startsWith("data: ")) {
      const json = JSON.parse(event.slice(6));
      if (json.error) throw new GridtieError(json.error.code ?? "cut_off", json.error.message, { text });
      const piece = json.choices?.[0]?.delta?.content ?? "";
      text += piece;
      if (piece) onText?.(piece, text);
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
 * @param {object} [options.coins] by network; default: USDC
 * @param {(piece: string, all: string) => void} [options.onText] hears the answer as it comes
 * @param {AbortSignal} [options.signal]
 * @param {object} [options.more] further fields of the request, such as max_tokens
 * @returns {Promise<{text: string, paidUsd: string, transaction?: string, receipt?: string}>} where `paidUsd` is what moved; what was not used is the wallet's balance at
 *   the gateway, and `receipt` says how much
 */
export async function ask({ gateway = here, model, prompt, messages, wallet = globalThis.ethereum, maxUsd = "0.05", coins = USDC, onText, signal, more = {} }) {
  const url = gateway.replace(/\/+$/, "") + "/v1/chat/completions";
  const body = JSON.stringify({ model, messages: messages ?? [{ role: "user", content: prompt }], stream: true, ...more });
  const name = await journal.name(url, body);
  const send = (headers) => fetch(url, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body, signal, credentials: "omit" });

  let paid = journal.get(name);
  if (!paid) {
    const first = await send({});
    if (first.status === 200) return { text: await read(first, onText), paidUsd: "0" };
    const required = first.headers.get("PAYMENT-REQUIRED");
    if (first.status !== 402 || !required) throw await failure(first);
    paid = await pay(decode(required), { wallet, maxUsd, coins });
    journal.put(name, paid);
  }
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await send({ "PAYMENT-SIGNATURE": paid.header });
    } catch (e) {
      // Nobody knows whether it arrived: the same payment again, never a new one.
      if (signal?.aborted || attempt >= PAID_ATTEMPTS) throw e;
    }
    if (response && response.status !== 503) {
      journal.remove(name);
      if (response.status !== 200) throw await failure(response);
      const receipt = response.headers.get("X-Gridtie-Receipt") ?? undefined;
      const settled = response.headers.get("PAYMENT-RESPONSE");
      const { transaction, amount } = settled ? decode(settled) : {};
      return { text: await read(response, onText), paidUsd: dollars(amount ?? paid.amount), transaction, receipt };
    }
    if (response && attempt >= PAID_ATTEMPTS) throw await failure(response);
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

/** A question, a button and the answer. Attributes: model, gateway, max-usd, max-tokens, label, prompt, placeholder. Properties: wallet, coins. Events: answered, failed. */
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
