package dev.gridtie.x402.siwx;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.Refusal;
import java.net.URI;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A wallet's signed word that it is there and asks this server, now (extension sign-in-with-x,
 * CAIP-122).
 *
 * @param domain host and port of the server
 * @param address the wallet's, as its chain writes it
 * @param uri that is asked for
 * @param chainId CAIP-2
 * @param nonce used once
 */
public record SignIn(
    String domain,
    String address,
    @Nullable String statement,
    String uri,
    String version,
    String chainId,
    String nonce,
    String issuedAt,
    @Nullable String expirationTime,
    @Nullable String notBefore,
    @Nullable String requestId,
    List<String> resources,
    String signature) {

  /** The header that carries it. */
  public static final String HEADER = "SIGN-IN-WITH-X";

  /** Its name among a 402's extensions. */
  public static final String EXTENSION = "sign-in-with-x";

  /** How old it may be. */
  public static final Duration AGE_MAX = Duration.ofMinutes(5);

  /** How far a client's clock may be ahead. */
  private static final Duration AHEAD_MAX = Duration.ofSeconds(30);

  private static final int RESOURCES_MAX = 16;

  public SignIn {
    resources = List.copyOf(resources);
  }

  /**
   * Reads the header's value.
   *
   * @throws MalformedPaymentException naming what is wrong
   */
  public static SignIn fromHeader(String header) throws MalformedPaymentException {
    JsonNode json = Headers.decode(header);
    List<String> resources =
        json.path("resources")
            .valueStream()
            .limit(RESOURCES_MAX + 1L)
            .map(r -> r.asString(""))
            .toList();
    if (resources.size() > RESOURCES_MAX) {
      throw new MalformedPaymentException("resources has more than " + RESOURCES_MAX + " entries");
    }
    return new SignIn(
        line(Fields.text(json, "domain")),
        line(Fields.text(json, "address")),
        Json.text(json, "statement"),
        line(Fields.text(json, "uri")),
        line(Fields.text(json, "version")),
        line(Fields.text(json, "chainId")),
        line(Fields.text(json, "nonce")),
        line(Fields.text(json, "issuedAt")),
        Json.text(json, "expirationTime"),
        Json.text(json, "notBefore"),
        Json.text(json, "requestId"),
        resources,
        Fields.text(json, "signature"));
  }

  /** A field is one line: with several it could say what the wallet did not mean to sign. */
  private static String line(String text) throws MalformedPaymentException {
    if (text.chars().anyMatch(c -> c < 0x20)) {
      throw new MalformedPaymentException("a field holds a line break");
    }
    return text;
  }

  private boolean isSolana() {
    return chainId.startsWith("solana:");
  }

  /** What the wallet signs (EIP-4361; on Solana the same with its own name). */
  public String message() {
    StringBuilder text = new StringBuilder();
    text.append(domain)
        .append(" wants you to sign in with your ")
        .append(isSolana() ? "Solana" : "Ethereum")
        .append(" account:\n")
        .append(address)
        .append("\n\n");
    if (statement != null) {
      text.append(statement).append("\n\n");
    } else if (!isSolana()) {
      text.append('\n');
    }
    text.append("URI: ").append(uri);
    text.append("\nVersion: ").append(version);
    text.append("\nChain ID: ").append(chainId.substring(chainId.indexOf(':') + 1));
    text.append("\nNonce: ").append(nonce);
    text.append("\nIssued At: ").append(issuedAt);
    optional(text, "Expiration Time", expirationTime);
    optional(text, "Not Before", notBefore);
    optional(text, "Request ID", requestId);
    if (!resources.isEmpty()) {
      text.append("\nResources:");
      resources.forEach(r -> text.append("\n- ").append(r));
    }
    return text.toString();
  }

  private static void optional(StringBuilder text, String name, @Nullable String value) {
    if (value != null) {
      text.append('\n').append(name).append(": ").append(value);
    }
  }

  /**
   * Why it does not show what it should; empty where it does.
   *
   * @param server under which clients reach this one
   */
  public Optional<Refusal> refusal(URI server, Instant now) {
    if (!domain.equals(server.getAuthority())) {
      return refused(
          "invalid_siwx_domain_mismatch",
          "it is for " + domain + ", and this is " + server.getAuthority());
    }
    if (!sameOrigin(server)) {
      return refused("invalid_siwx_uri_mismatch", "its URI is not of " + server);
    }
    try {
      Instant issued = Instant.parse(issuedAt);
      if (issued.isBefore(now.minus(AGE_MAX))) {
        return refused(
            "invalid_siwx_issued_at_too_old",
            "it is older than " + AGE_MAX.toMinutes() + " minutes");
      }
      if (issued.isAfter(now.plus(AHEAD_MAX))) {
        return refused("invalid_siwx_issued_at_in_future", "it was issued in the future");
      }
      if (expirationTime != null && Instant.parse(expirationTime).isBefore(now)) {
        return refused("invalid_siwx_expired", "it has expired");
      }
      if (notBefore != null && Instant.parse(notBefore).isAfter(now)) {
        return refused("invalid_siwx_not_yet_valid", "it is not valid yet");
      }
    } catch (DateTimeException e) {
      return refused("invalid_siwx_issued_at", "a time in it cannot be read");
    }
    if (!nonce.matches("[A-Za-z0-9]{8,128}")) {
      return refused("invalid_siwx_nonce", "its nonce must be 8 to 128 letters and digits");
    }
    return isSigned()
        ? Optional.empty()
        : refused("invalid_siwx_signature", "the signature is not the wallet's over this message");
  }

  private static Optional<Refusal> refused(String code, String why) {
    return Optional.of(new Refusal(code, why));
  }

  private boolean sameOrigin(URI server) {
    try {
      URI asked = URI.create(uri);
      return server.getScheme().equals(asked.getScheme())
          && server.getAuthority().equals(asked.getAuthority());
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  private boolean isSigned() {
    try {
      return isSolana()
          ? SolanaKey.verify(
              SolanaAddress.of(address),
              message().getBytes(UTF_8),
              Base58.decode(signature, SolanaKey.SIGNATURE_LENGTH))
          : Networks.evmChainId(chainId).isPresent()
              && Signatures.recover(personalDigest(message()), Hex.decode(signature))
                  .equals(Optional.of(EvmAddress.of(address)));
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  /** What a wallet hashes when it signs a text (EIP-191, version 0x45). */
  private static byte[] personalDigest(String message) {
    byte[] text = message.getBytes(UTF_8);
    return Hashes.keccak256(
        ("\u0019Ethereum Signed Message:\n" + text.length).getBytes(UTF_8), text);
  }

  /** The wallet's address as its accounts name it. */
  public String account() {
    return isSolana() ? address : EvmAddress.of(address).lower();
  }

  // The other sides

  /**
   * What a 402 says of it.
   *
   * @param server under which clients reach this one
   * @param uri that was asked for
   * @param networks CAIP-2, whose wallets may sign in
   */
  public static ObjectNode challenge(
      URI server, String uri, String statement, String nonce, Instant now, List<String> networks) {
    ObjectNode extension = Json.object();
    extension
        .putObject("info")
        .put("domain", server.getAuthority())
        .put("uri", uri)
        .put("statement", statement)
        .put("version", "1")
        .put("nonce", nonce)
        .put("issuedAt", now.toString())
        .put("expirationTime", now.plus(AGE_MAX).toString());
    ArrayNode chains = extension.putArray("supportedChains");
    networks.stream()
        .distinct()
        .forEach(
            n ->
                chains
                    .addObject()
                    .put("chainId", n)
                    .put("type", n.startsWith("solana:") ? "ed25519" : "eip191"));
    ObjectNode schema = extension.putObject("schema");
    schema.put("$schema", "https://json-schema.org/draft/2020-12/schema").put("type", "object");
    return extension;
  }

  /**
   * Answers a 402's challenge; empty where it is none for this wallet, or not of the server that
   * was asked.
   *
   * @param extensions of the 402
   * @return the header's value
   */
  public static Optional<String> answer(JsonNode extensions, URI asked, EvmKey key) {
    JsonNode extension = extensions.path(EXTENSION);
    JsonNode info = extension.path("info");
    String chain = null;
    for (JsonNode each : extension.path("supportedChains")) {
      if (chain == null && each.path("type").asString("").equals("eip191")) {
        chain = each.path("chainId").asString("");
      }
    }
    boolean ours = asked.getAuthority().equals(Json.text(info, "domain"));
    if (chain == null || !ours || !(info instanceof ObjectNode)) {
      return Optional.empty();
    }
    ObjectNode json = ((ObjectNode) info).deepCopy();
    json.put("address", key.address().toString()).put("chainId", chain).put("type", "eip191");
    json.put("signature", "0x00");
    try {
      SignIn unsigned = fromHeader(Headers.encode(json));
      json.put("signature", Hex.encode(key.sign(personalDigest(unsigned.message()))));
      return Optional.of(Headers.encode(json));
    } catch (MalformedPaymentException e) {
      return Optional.empty();
    }
  }
}
