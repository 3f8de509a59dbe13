package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Extension payment-identifier: a client's own name of what it pays for, so that paying anew after
 * a lost answer is not paying twice.
 */
public final class PaymentIdentifier {
  public static final String EXTENSION = "payment-identifier";

  private PaymentIdentifier() {}

  /** What a 402 says of it: it may be used, and need not. */
  public static ObjectNode declaration() {
    ObjectNode extension = Json.object();
    extension.putObject("info").put("required", false);
    ObjectNode schema = extension.putObject("schema");
    schema.put("$schema", "https://json-schema.org/draft/2020-12/schema").put("type", "object");
    ObjectNode properties = schema.putObject("properties");
    properties.putObject("required").put("type", "boolean");
    properties
        .putObject("id")
        .put("type", "string")
        .put("minLength", 16)
        .put("maxLength", 128)
        .put("pattern", "^[a-zA-Z0-9_-]+$");
    schema.putArray("required").add("required");
    return extension;
  }

  /**
   * The one that came with a payment, where one did.
   *
   * @throws MalformedPaymentException where it is not 16 to 128 letters, digits, - and _
   */
  public static Optional<String> of(PaymentPayload payment) throws MalformedPaymentException {
    JsonNode id = payment.extension(EXTENSION).path("id");
    if (id.isMissingNode() || id.isNull()) {
      return Optional.empty();
    }
    String text = id.asString("");
    if (!text.matches("[A-Za-z0-9_-]{16,128}")) {
      throw new MalformedPaymentException(
          EXTENSION + ": id must be 16 to 128 letters, digits, '-' and '_'");
    }
    return Optional.of(text);
  }
}
