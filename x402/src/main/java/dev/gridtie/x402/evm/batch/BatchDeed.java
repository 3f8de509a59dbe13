package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What a receiver wants done with its channels, as it asks a facilitator's {@code /settle}. */
public sealed interface BatchDeed {
  /** How many channels one transaction may claim. */
  int CLAIMS_MAX = 200;

  /**
   * Claims many channels.
   *
   * @param signature of their receivers' authorizer; empty where whoever settles has its key
   */
  record ClaimMany(List<Claim> claims, Optional<byte[]> signature) implements BatchDeed {}

  /** Pays out what was claimed for a receiver. */
  record PayOut(EvmAddress receiver, EvmAddress token) implements BatchDeed {}

  /**
   * Claims what is due on a channel, and gives back what is left, at most this much.
   *
   * @param nonce the channel's {@link ChannelState#refundNonce}
   * @param signature of the authorizer, over the refund
   * @param claimSignature of the authorizer, over the claims
   */
  record GiveBack(
      ChannelConfig config,
      BigInteger amount,
      BigInteger nonce,
      List<Claim> claims,
      Optional<byte[]> signature,
      Optional<byte[]> claimSignature)
      implements BatchDeed {}

  /** Whether a payload asks for one; a client's own refund does not say its nonce. */
  static boolean isIn(JsonNode payload) {
    String type = Json.text(payload, "type");
    return "claim".equals(type)
        || "settle".equals(type)
        || ("refund".equals(type) && payload.has("refundNonce"));
  }

  /**
   * Reads a payload.
   *
   * @throws MalformedPaymentException naming the field that is missing or wrong
   */
  static BatchDeed fromJson(JsonNode json) throws MalformedPaymentException {
    return switch (Fields.text(json, "type")) {
      case "claim" -> {
        List<Claim> claims = claims(json);
        if (claims.isEmpty()) {
          throw new MalformedPaymentException("claims must name at least one channel");
        }
        yield new ClaimMany(claims, signature(json, "claimAuthorizerSignature"));
      }
      case "settle" ->
          new PayOut(EvmFields.address(json, "receiver"), EvmFields.address(json, "token"));
      case "refund" ->
          new GiveBack(
              ChannelConfig.fromJson(Fields.object(json, "channelConfig")),
              EvmFields.uint(json, "amount", 128),
              EvmFields.uint256(json, "refundNonce"),
              claims(json),
              signature(json, "refundAuthorizerSignature"),
              signature(json, "claimAuthorizerSignature"));
      default -> throw new MalformedPaymentException("type must be claim, settle or refund");
    };
  }

  private static Optional<byte[]> signature(JsonNode json, String key)
      throws MalformedPaymentException {
    return json.has(key) ? Optional.of(EvmFields.signature(json, key)) : Optional.empty();
  }

  private static List<Claim> claims(JsonNode json) throws MalformedPaymentException {
    JsonNode list = json.path("claims");
    if (!list.isArray() || list.size() > CLAIMS_MAX) {
      throw new MalformedPaymentException(
          "claims must be a list of at most " + CLAIMS_MAX + " claims");
    }
    List<Claim> claims = new ArrayList<>();
    for (JsonNode one : list) {
      claims.add(Claim.fromJson(one));
    }
    return claims;
  }

  /** The payload that asks for it. */
  default ObjectNode toJson() {
    ObjectNode json = Json.object();
    switch (this) {
      case ClaimMany many -> {
        json.put("type", "claim").set("claims", array(many.claims()));
        many.signature().ifPresent(s -> json.put("claimAuthorizerSignature", Hex.encode(s)));
      }
      case PayOut payOut ->
          json.put("type", "settle")
              .put("receiver", payOut.receiver().toString())
              .put("token", payOut.token().toString());
      case GiveBack back -> {
        json.put("type", "refund").set("channelConfig", back.config().toJson());
        json.put("amount", back.amount().toString());
        json.put("refundNonce", back.nonce().toString());
        json.set("claims", array(back.claims()));
        back.signature().ifPresent(s -> json.put("refundAuthorizerSignature", Hex.encode(s)));
        back.claimSignature().ifPresent(s -> json.put("claimAuthorizerSignature", Hex.encode(s)));
      }
    }
    return json;
  }

  private static ArrayNode array(List<Claim> claims) {
    ArrayNode list = Json.array();
    claims.forEach(c -> list.add(c.toJson()));
    return list;
  }
}
