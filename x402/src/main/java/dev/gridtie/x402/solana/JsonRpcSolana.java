package dev.gridtie.x402.solana;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Solana by JSON-RPC over HTTP. Any number of threads may use it. */
public final class JsonRpcSolana implements SolanaChain {
  private static final int ANSWER_BYTES_MAX = 4 * 1024 * 1024;

  private final URI url;
  private final Duration timeout;
  private final HttpClient http;
  private final AtomicLong ids = new AtomicLong();

  /**
   * @param timeout of one call
   */
  public JsonRpcSolana(URI url, Duration timeout) {
    this.url = url;
    this.timeout = timeout;
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(timeout)
            .build();
  }

  private static ObjectNode confirmed() {
    return Json.object().put("commitment", "confirmed");
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
    ObjectNode request = Json.object();
    request.put("jsonrpc", "2.0");
    request.put("id", ids.incrementAndGet());
    request.put("method", method);
    ArrayNode list = request.putArray("params");
    for (Object param : params) {
      switch (param) {
        case String text -> list.add(text);
        case JsonNode node -> list.add(node);
        default -> throw new IllegalArgumentException("no JSON-RPC parameter: " + param.getClass());
      }
    }
    JsonNode answer = post(method, Json.writeBytes(request));
    JsonNode error = answer.path("error");
    if (error.isObject()) {
      throw new RefusedException(
          method + ": " + error.path("message").asString("refused without a reason"));
    }
    if (!answer.has("result")) {
      throw new UnreachableException(method + ": the answer has neither result nor error");
    }
    return answer.path("result");
  }

  private JsonNode post(String method, byte[] body) throws UnreachableException {
    HttpRequest request =
        HttpRequest.newBuilder(url)
            .timeout(timeout)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .build();
    try {
      HttpResponse<InputStream> response =
          http.send(request, HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream in = response.body()) {
        byte[] bytes = in.readNBytes(ANSWER_BYTES_MAX + 1);
        if (bytes.length > ANSWER_BYTES_MAX || response.statusCode() / 100 != 2) {
          throw new UnreachableException(method + ": HTTP status " + response.statusCode());
        }
        return Json.parse(bytes);
      }
    } catch (IOException e) {
      String why = e.getMessage();
      throw new UnreachableException(
          method + ": " + (why == null ? e.getClass().getSimpleName() : why));
    } catch (Json.MalformedJsonException e) {
      throw new UnreachableException(method + ": the answer is " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UnreachableException(method + ": interrupted");
    }
  }
}
