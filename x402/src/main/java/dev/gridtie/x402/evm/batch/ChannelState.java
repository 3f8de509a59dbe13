package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.Trial;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
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
    List<Trial> answers =
        chain.callAll(
            List.of(
                question(asking, "channels(bytes32)", channelId),
                question(asking, "pendingWithdrawals(bytes32)", channelId),
                question(asking, "refundNonce(bytes32)", channelId)));
    byte[] channel = words(answers.get(0), 2);
    byte[] withdrawal = words(answers.get(1), 2);
    byte[] nonce = words(answers.get(2), 1);
    return new ChannelState(
        channelId,
        word(channel, 0),
        word(channel, 1),
        word(withdrawal, 1).longValueExact(),
        word(nonce, 0));
  }

  private static Question question(EvmAddress asking, String method, byte[] channelId) {
    return new Question(asking, BatchTypes.BATCH, Abi.call(method, channelId));
  }

  private static byte[] words(Trial trial, int words) throws RefusedException {
    byte[] answer = trial.orThrow();
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
