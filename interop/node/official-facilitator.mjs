// x402's official facilitator behind the paths that its official client asks. Usage: node official-facilitator.mjs RPC KEY; prints "ready URL".
import { createServer } from "node:http";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { BatchSettlementEvmScheme as BatchFacilitator } from "@x402/evm/batch-settlement/facilitator";
import { UptoEvmScheme as UptoFacilitator } from "@x402/evm/upto/facilitator";
import { createWalletClient, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";

const NETWORK = "eip155:84532";

/** Starts one on a free port. */
export async function startOfficialFacilitator(rpc, key) {
  const account = privateKeyToAccount(key);
  const client = createWalletClient({ account, chain: baseSepolia, transport: http(rpc), pollingInterval: 50 }).extend(publicActions);
  const signer = toFacilitatorEvmSigner({
    address: account.address,
    getCode: (args) => client.getCode(args),
    readContract: (args) => client.readContract(args),
    verifyTypedData: (args) => client.verifyTypedData(args),
    writeContract: (args) => client.writeContract(args),
    sendTransaction: (args) => client.sendTransaction(args),
    waitForTransactionReceipt: (args) => client.waitForTransactionReceipt(args),
  });
  const facilitator = new x402Facilitator();
  facilitator.register(NETWORK, new ExactFacilitator(signer));
  facilitator.register(NETWORK, new UptoFacilitator(signer));
  facilitator.register(NETWORK, new BatchFacilitator(signer, account));
  return { address: account.address, ...(await serveFacilitator(facilitator)) };
}

/** Puts a facilitator behind the paths that clients ask, on a free port. */
export async function serveFacilitator(facilitator) {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const { paymentPayload, paymentRequirements } = body ? JSON.parse(body) : {};
    let answer;
    try {
      if (request.url === "/supported") answer = await facilitator.getSupported();
      else if (request.url === "/verify") answer = await facilitator.verify(paymentPayload, paymentRequirements);
      else answer = await facilitator.settle(paymentPayload, paymentRequirements);
    } catch (e) {
      response.statusCode = 500;
      answer = { error: String(e) };
    }
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answer, (_, v) => (typeof v === "bigint" ? v.toString() : v)));
  });
  const url = await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));
  return { url, close: () => new Promise((resolve) => server.close(resolve)) };
}

if (process.argv[1]?.endsWith("official-facilitator.mjs")) {
  const { url } = await startOfficialFacilitator(process.argv[2], process.argv[3]);
  console.log(`ready ${url}`);
}
