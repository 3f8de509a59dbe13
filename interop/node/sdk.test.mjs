// The browser's module against a running gateway, in a real browser, on a page of another origin.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { privateKeyToAccount } from "viem/accounts";
import { startWorld } from "./world.mjs";

const CHAIN_ID = 84532;
const NETWORK = `eip155:${CHAIN_ID}`;
const browserAt = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", process.env.CHROMIUM].find((p) => p && existsSync(p));
const skip = browserAt ? false : "no Chromium on this machine; name one in CHROMIUM";

/** A wallet as a browser has it (EIP-1193), whose owner says yes to everything. */
function wallet(account) {
  const asked = [];
  let on = 1;
  return {
    asked,
    async request({ method, params }) {
      asked.push(method);
      switch (method) {
        case "eth_requestAccounts":
          return [account.address];
        case "eth_chainId":
          return "0x" + on.toString(16);
        case "wallet_switchEthereumChain":
          on = Number(params[0].chainId);
          return null;
        case "eth_signTypedData_v4": {
          assert.equal(on, CHAIN_ID, "signed on the wrong chain");
          const { EIP712Domain, ...types } = JSON.parse(params[1]).types;
          return account.signTypedData({ ...JSON.parse(params[1]), types });
        }
        default:
          throw new Error(`no such method: ${method}`);
      }
    },
  };
}

describe("a web page of another origin", { skip }, () => {
  let world, browser, pages, origin;

  before(async () => {
    pages = createServer((request, response) => {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(page(new URL(request.url, origin)));
    });
    await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${pages.address().port}`;
    world = await startWorld("--origin", origin);
    browser = await chromium.launch({ executablePath: browserAt, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
    pages?.close();
  });

  const page = (url) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Ask</title>
    <script type="module" src="${world.url}/sdk/gridtie.js"></script>
    <h1>Ask a model</h1>
    <gridtie-ask gateway="${world.url}" model="gridtie/tiny" max-tokens="12" max-usd="${url.searchParams.get("max") ?? "0.01"}"></gridtie-ask>
    <script>
      window.ethereum = { request: (asked) => window.askWallet(asked) };
      const element = document.querySelector("gridtie-ask");
      element.coins = { "${NETWORK}": "${world.info.asset}" };
      window.outcome = new Promise((resolve) => {
        element.addEventListener("answered", (e) => resolve(e.detail));
        element.addEventListener("failed", (e) => resolve({ code: e.detail.code, message: e.detail.message }));
      });
    </script></html>`;

  async function open(from = origin, max = "0.01") {
    const purse = wallet(privateKeyToAccount(world.key));
    const tab = await browser.newPage({ viewport: { width: 800, height: 500 } });
    await tab.exposeFunction("askWallet", (asked) => purse.request(asked));
    await tab.goto(`${from}/?max=${max}`);
    await tab.waitForFunction(() => customElements.get("gridtie-ask"));
    return {
      tab,
      purse,
      async ask(prompt) {
        await tab.getByRole("textbox").fill(prompt);
        await tab.getByRole("button").click();
        return tab.evaluate(() => window.outcome);
      },
    };
  }

  test("one click pays for one answer", async () => {
    const before = await world.balance();
    const { tab, purse, ask } = await open();
    const answer = await ask("What is a receipt?");
    assert.ok(answer.text?.length > 0, JSON.stringify(answer));
    assert.equal(await tab.locator("gridtie-ask output").textContent(), answer.text);
    assert.equal((before - (await world.balance())).toString(), String(Math.round(Number(answer.paidUsd) * 1e6)));
    assert.ok(Number(answer.paidUsd) > 0 && Number(answer.paidUsd) <= 0.01);
    assert.match(answer.transaction, /^0x[0-9a-f]{64}$/);
    assert.equal(purse.asked.filter((m) => m.startsWith("eth_sign")).length, 1);
    assert.match(await tab.locator("gridtie-ask small").textContent(), /^Paid \$0\.\d+, receipt /);
    if (process.env.SCREENSHOT) await tab.screenshot({ path: process.env.SCREENSHOT });
    assert.equal((await fetch(`${world.url}/v1/receipts/${answer.receipt}`)).status, 200);
    await tab.close();
  });

  test("an answer that is lost on the way is asked for with the same payment", async () => {
    const before = await world.balance();
    const { tab, purse, ask } = await open();
    let lost = 0;
    const payments = new Set();
    await tab.route("**/v1/chat/completions", async (route) => {
      const payment = route.request().headers()["payment-signature"];
      if (payment) payments.add(payment);
      if (payment && lost === 0) {
        lost++;
        await route.fetch().catch(() => {});
        return route.abort("connectionreset");
      }
      return route.continue();
    });
    const answer = await ask("Is this lost?");
    assert.equal(lost, 1);
    assert.equal(payments.size, 1, "signed anew");
    assert.equal(purse.asked.filter((m) => m.startsWith("eth_sign")).length, 1);
    assert.ok(answer.text?.length > 0, JSON.stringify(answer));
    assert.equal((before - (await world.balance())).toString(), String(Math.round(Number(answer.paidUsd) * 1e6)));
    await tab.close();
  });

  test("more than the page allows is not signed", async () => {
    const before = await world.balance();
    const { tab, purse, ask } = await open(origin, "0.000001");
    const outcome = await ask("Is this too dear?");
    assert.equal(outcome.code, "too_expensive");
    assert.deepEqual(purse.asked, []);
    assert.match(await tab.locator("gridtie-ask small").textContent(), /could cost \$/);
    assert.equal(await world.balance(), before);
    await tab.close();
  });

  test("a wallet whose owner says no pays nothing", async () => {
    const before = await world.balance();
    const { tab, purse, ask } = await open();
    purse.request = async ({ method }) => {
      if (method.startsWith("eth_sign")) throw new Error("User rejected the request.");
      return method === "eth_chainId" ? "0x" + CHAIN_ID.toString(16) : [privateKeyToAccount(world.key).address];
    };
    assert.equal((await ask("May I?")).code, "wallet_refused");
    assert.equal(await world.balance(), before);
    await tab.close();
  });

  test("a page that the operator did not name cannot ask", async () => {
    const before = await world.balance();
    const { tab, purse, ask } = await open(origin.replace("127.0.0.1", "localhost"));
    const outcome = await ask("Am I let in?");
    assert.ok(outcome.message, JSON.stringify(outcome));
    assert.deepEqual(purse.asked, []);
    assert.equal(await world.balance(), before);
    await tab.close();
  });
});
