package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.util.Arrays;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A channel as the chain has it.
 *
 * @param balance all that was ever put in and not taken out by its payer, atomic units
 * @param totalClaimed of it, by its receiver
 * @param withdrawRequestedAt Unix seconds; 0 where the payer is not on its way out
 * @param refundNonce of the next refund
 */
public record ChannelState(
    byte[] channelId,
    BigInteger balance,
    BigInteger totalClaimed,
    long withdrawRequestedAt,
    BigInteger refundNonce) {

  /** Asks the chain. */
  public static ChannelState of(EvmChain chain, EvmAddress asking, byte[] channelId)
      throws UnreachableException, RefusedException {
    byte[] channel = call(chain, asking, "channels(bytes32)", channelId, 2);
    byte[] withdrawal = call(chain, asking, "pendingWithdrawals(bytes32)", channelId, 2);
    byte[] nonce = call(chain, asking, "refundNonce(bytes32)", channelId, 1);
    return new ChannelState(
        channelId,
        word(channel, 0),
        word(channel, 1),
        word(withdrawal, 1).longValueExact(),
        word(nonce, 0));
  }

  private static byte[] call(
      EvmChain chain, EvmAddress asking, String method, byte[] channelId, int words)
      throws UnreachableException, RefusedException {
    byte[] answer = chain.call(asking, BatchTypes.BATCH, Abi.call(method, channelId));
    if (answer.length != 32 * words) {
      throw new RefusedException("there is no batch settlement contract on this chain");
    }
    return answer;
  }

  private static BigInteger word(byte[] words, int place) {
    return Abi.uint(Arrays.copyOfRange(words, 32 * place, 32 * place + 32));
  }

  /** What may still be claimed, or taken out. */
  public BigInteger left() {
    return balance.subtract(totalClaimed);
  }

  /**
   * Reads what responses say.
   *
   * @throws MalformedPaymentException naming the field that is missing or wrong
   */
  public static ChannelState fromJson(JsonNode json) throws MalformedPaymentException {
    JsonNode requested = json.path("withdrawRequestedAt");
    if (!requested.isIntegralNumber()) {
      throw new MalformedPaymentException("withdrawRequestedAt must be a whole number of seconds");
    }
    return new ChannelState(
        EvmFields.bytes(json, "channelId", 32),
        EvmFields.uint(json, "balance", 128),
        EvmFields.uint(json, "totalClaimed", 128),
        requested.asLong(),
        EvmFields.uint256(json, "refundNonce"));
  }

  /** As responses say it. */
  public ObjectNode toJson() {
    return Json.object()
        .put("channelId", Hex.encode(channelId))
        .put("balance", balance.toString())
        .put("totalClaimed", totalClaimed.toString())
        .put("withdrawRequestedAt", withdrawRequestedAt)
        .put("refundNonce", refundNonce.toString());
  }
}
