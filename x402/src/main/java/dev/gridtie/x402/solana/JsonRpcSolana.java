package dev.gridtie.x402.solana;

import dev.gridtie.base.Json;
import dev.gridtie.x402.chain.JsonRpc;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.net.URI;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Solana by JSON-RPC over HTTP. Any number of threads may use it. */
public final class JsonRpcSolana implements SolanaChain {
  private final JsonRpc rpc;

  /**
   * @param timeout of one call
   */
  public JsonRpcSolana(URI url, Duration timeout) {
    this.rpc = new JsonRpc(url, timeout);
  }

  private static ObjectNode confirmed() {
    return Json.object().put("commitment", "confirmed");
  }

  @Override
  public String genesisHash() throws UnreachableException, RefusedException {
    return ask("getGenesisHash").asString("");
  }

  @Override
  public long balance(SolanaAddress address) throws UnreachableException, RefusedException {
    return ask("getBalance", address.toString(), confirmed()).path("value").asLong();
  }

  @Override
  public Blockhash latestBlockhash() throws UnreachableException, RefusedException {
    JsonNode value = ask("getLatestBlockhash", confirmed()).path("value");
    try {
      return new Blockhash(
          Base58.decode(value.path("blockhash").asString(""), SolanaAddress.LENGTH),
          value.path("lastValidBlockHeight").asLong());
    } catch (IllegalArgumentException e) {
      throw new UnreachableException("getLatestBlockhash: the answer has no blockhash");
    }
  }

  @Override
  public long blockHeight() throws UnreachableException, RefusedException {
    return ask("getBlockHeight", confirmed()).asLong();
  }

  @Override
  public Optional<Account> account(SolanaAddress address)
      throws UnreachableException, RefusedException {
    JsonNode value =
        ask("getAccountInfo", address.toString(), confirmed().put("encoding", "base64"))
            .path("value");
    if (!value.isObject()) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          new Account(
              SolanaAddress.of(value.path("owner").asString("")),
              Base64.getDecoder().decode(value.path("data").path(0).asString(""))));
    } catch (IllegalArgumentException e) {
      throw new UnreachableException("getAccountInfo: the answer cannot be read");
    }
  }

  @Override
  public Optional<String> simulate(SolanaTransaction transaction)
      throws UnreachableException, RefusedException {
    ObjectNode how = confirmed().put("encoding", "base64").put("sigVerify", true);
    JsonNode error =
        ask("simulateTransaction", transaction.toBase64(), how).path("value").path("err");
    return error.isNull() || error.isMissingNode()
        ? Optional.empty()
        : Optional.of(Json.write(error));
  }

  @Override
  public void send(byte[] transaction) throws UnreachableException, RefusedException {
    ObjectNode how = Json.object().put("encoding", "base64").put("skipPreflight", true);
    JsonNode unused = ask("sendTransaction", Base64.getEncoder().encodeToString(transaction), how);
  }

  @Override
  public Optional<Status> status(String signature) throws UnreachableException, RefusedException {
    ArrayNode one = Json.array().add(signature);
    JsonNode status =
        ask("getSignatureStatuses", one, Json.object().put("searchTransactionHistory", true))
            .path("value")
            .path(0);
    if (!status.isObject()) {
      return Optional.empty();
    }
    JsonNode error = status.path("err");
    String level = status.path("confirmationStatus").asString("");
    return Optional.of(
        new Status(
            level.equals("confirmed") || level.equals("finalized"),
            error.isNull() || error.isMissingNode()
                ? Optional.empty()
                : Optional.of(Json.write(error))));
  }

  /**
   * One JSON-RPC call with any method: for the test chain's own ones.
   *
   * @param params texts or JSON nodes
   */
  public JsonNode ask(String method, Object... params)
      throws UnreachableException, RefusedException {
    try {
      return rpc.ask(method, params);
    } catch (JsonRpc.ErrorException e) {
      throw new RefusedException(String.valueOf(e.getMessage()));
    }
  }
}
