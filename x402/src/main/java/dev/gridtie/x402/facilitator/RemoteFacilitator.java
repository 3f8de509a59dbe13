package dev.gridtie.x402.facilitator;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Somebody else's facilitator (x402 v2 §7), and our own look at the chain. It is asked to verify
 * and to settle; what it says of success is believed, for the operator chose it. What it does not
 * say, or says to have failed, the chain decides: a payment whose right is unused and not expired
 * is unknown, and the very same is asked again (errorReason settlement_pending).
 */
public final class RemoteFacilitator implements PaymentScheme {
  /** The largest answer that is read, in bytes. */
  private static final int ANSWER_BYTES_MAX = 256 * 1024;

  private final URI url;
  private final ChainView view;
  private final Duration patience;
  private final HttpClient http =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(Duration.ofSeconds(10))
          .build();

  /** What can be seen on the chain by anybody. */
  public interface ChainView {
    /**
     * What became of a payment, whoever brought it: settled where its money has moved, failed where
     * it never will, else unknown.
     *
     * @param sinceBlock before which it cannot have been mined
     */
    Settlement lookFor(PaymentPayload payment, PaymentRequirements requirements, long sinceBlock);

    /**
     * The chain's height.
     *
     * @throws UnreachableException where it cannot be asked
     */
    long height() throws UnreachableException;
  }

  /**
   * @param patience how long an answer is waited for
   */
  public RemoteFacilitator(URI url, ChainView view, Duration patience) {
    this.url = url;
    this.view = view;
    this.patience = patience;
  }

  /**
   * What a facilitator says to support.
   *
   * @throws UnreachableException where it does not answer
   */
  public static JsonNode supported(URI url, Duration patience) throws UnreachableException {
    return new RemoteFacilitator(url, NOTHING, patience).ask("/supported", null);
  }

  private static final ChainView NOTHING =
      new ChainView() {
        @Override
        public Settlement lookFor(PaymentPayload p, PaymentRequirements r, long sinceBlock) {
          return new Settlement.Unknown("there is no chain here");
        }

        @Override
        public long height() {
          return 0;
        }
      };

  private JsonNode ask(String path, @org.jspecify.annotations.Nullable ObjectNode body)
      throws UnreachableException {
    String base = url.toString().endsWith("/") ? url.toString() : url + "/";
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(base + path.substring(1))).timeout(patience);
    if (body != null) {
      request
          .header("Content-Type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofByteArray(Json.writeBytes(body)));
    }
    try {
      HttpResponse<InputStream> response =
          http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream in = response.body()) {
        JsonNode json = Json.parse(in.readNBytes(ANSWER_BYTES_MAX));
        if (response.statusCode() / 100 == 5 || !json.isObject()) {
          throw new UnreachableException("the facilitator says " + response.statusCode());
        }
        return json;
      }
    } catch (IOException | Json.MalformedJsonException e) {
      throw new UnreachableException("the facilitator " + url + ": " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UnreachableException("interrupted");
    }
  }

  private static ObjectNode question(PaymentPayload payment, PaymentRequirements requirements) {
    ObjectNode body = Json.object().put("x402Version", payment.version());
    body.set("paymentPayload", payment.raw());
    body.set("paymentRequirements", requirements.toJson());
    return body;
  }

  @Override
  public Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    if (payment.version() != 2) {
      return new Verdict.Invalid(
          new Refusal("invalid_x402_version", "pay by version 2: the facilitator is another's"));
    }
    JsonNode said = ask("/verify", question(payment, requirements));
    String payer = Json.text(said, "payer");
    if (said.path("isValid").asBoolean(false)) {
      return new Verdict.Valid(payer == null ? "" : payer);
    }
    return new Verdict.Invalid(refusal(said, "invalidReason", "invalidMessage"));
  }

  private static Refusal refusal(JsonNode said, String code, String message) {
    String reason = Json.text(said, code);
    String words = Json.text(said, message);
    return new Refusal(
        reason == null ? "unexpected_verify_error" : reason,
        words == null ? "the facilitator says no more" : words);
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    long height;
    try {
      height = view.height();
    } catch (UnreachableException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "the chain is out of reach: " + e.getMessage()));
    }
    // From here on it may be settled, whatever is heard of it.
    beforeSending.accept(new SignedTransaction("", new byte[0], BigInteger.ZERO, height));
    return ask(payment, requirements, height);
  }

  private Settlement ask(
      PaymentPayload payment, PaymentRequirements requirements, long sinceBlock) {
    JsonNode said;
    try {
      said = ask("/settle", question(payment, requirements));
    } catch (UnreachableException e) {
      return view.lookFor(payment, requirements, sinceBlock);
    }
    String transaction = Json.text(said, "transaction");
    String payer = Json.text(said, "payer");
    if (said.path("success").asBoolean(false) && transaction != null) {
      return new Settlement.Settled(
          transaction, payer == null ? "" : payer, amount(said, requirements), BigInteger.ZERO);
    }
    Refusal why = refusal(said, "errorReason", "errorMessage");
    Settlement seen = view.lookFor(payment, requirements, sinceBlock);
    boolean pending = why.code().equals("settlement_pending");
    return seen instanceof Settlement.Unknown && !pending ? new Settlement.Failed(why) : seen;
  }

  private static BigInteger amount(JsonNode said, PaymentRequirements requirements) {
    try {
      String amount = Json.text(said, "amount");
      return amount == null || amount.isEmpty()
          ? requirements.amount()
          : Fields.decimal(said, "amount", 78);
    } catch (MalformedPaymentException e) {
      return requirements.amount();
    }
  }

  /** The chain first; what it does not know is asked of the facilitator again, the very same. */
  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    Settlement seen = view.lookFor(payment, requirements, sent.sinceBlock());
    if (!(seen instanceof Settlement.Unknown)) {
      return seen;
    }
    Settlement again = ask(payment, requirements, sent.sinceBlock());
    // A second no may only mean that the first was a yes that the chain has not shown yet.
    return again instanceof Settlement.Settled ? again : seen;
  }

  /** What it has sent is its own to look after. */
  @Override
  public void adopt(PaymentRequirements requirements, SignedTransaction sent) {}

  /** What a facilitator has said to be settled is looked for at its own place. */
  @Override
  public boolean isOnChain(PaymentRequirements requirements, String transaction) {
    return true;
  }
}
