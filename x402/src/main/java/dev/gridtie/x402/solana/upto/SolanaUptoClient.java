package dev.gridtie.x402.solana.upto;

import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.solana.upto.SolanaUptoTypes.Payload;
import dev.gridtie.x402.solana.upto.SolanaUptoTypes.Terms;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * Signs payments of scheme upto on Solana: a transaction that puts the ceiling into a channel of
 * its own, from which the server takes what was used. Server and facilitator must say the block and
 * the slot ({@code extra.recentBlockhash}, {@code extra.recentSlot}), so that no chain need be
 * asked.
 */
public final class SolanaUptoClient implements PaymentSigner {
  /** Compute units that opening may use. */
  private static final int UNITS = 90_000;

  private final SolanaKey key;
  private final String network;
  private final Validity validity;
  private final SecureRandom random;

  /**
   * @param network CAIP-2
   */
  public SolanaUptoClient(SolanaKey key, String network, InstantSource clock, SecureRandom random) {
    this(key, network, Validity.usual(clock), random);
  }

  /** With a validity of its payer's choice. */
  public SolanaUptoClient(SolanaKey key, String network, Validity validity, SecureRandom random) {
    this.key = key;
    this.network = network;
    this.validity = validity;
    this.random = random;
  }

  @Override
  public boolean canSign(PaymentRequirements requirements) {
    return requirements.scheme().equals(SolanaUptoTypes.SCHEME)
        && requirements.network().equals(network);
  }

  @Override
  public JsonNode sign(int version, PaymentRequirements requirements)
      throws MalformedPaymentException {
    Terms terms = Terms.of(requirements);
    BigInteger openSlot = SolanaUptoTypes.u64(requirements.extra(), "recentSlot");
    byte[] salt = new byte[8];
    random.nextBytes(salt);
    BigInteger nonce = new BigInteger(1, salt);
    SolanaMessage message =
        SolanaMessage.of(
            terms.feePayer(),
            SolanaInstructions.recentBlockhash(requirements.extra())
                .orElseThrow(
                    () -> new MalformedPaymentException("extra must say a recentBlockhash")),
            List.of(
                SolanaInstructions.unitLimit(UNITS),
                SolanaInstructions.unitPrice(),
                terms.open(key.address(), nonce, openSlot),
                SolanaInstructions.memo(requirements.extra(), random)));
    long now = validity.now();
    return new Payload(
            terms.channel(key.address(), nonce, openSlot),
            terms.ceiling(),
            validity.until(requirements),
            key.address(),
            terms.ceiling(),
            nonce,
            openSlot,
            SolanaTransaction.of(message).signedBy(key).toBase64(),
            terms.authorizer().toString(),
            now)
        .toJson();
  }

  /** The chain tells nothing of it but that the channel was opened, so that it counts for good. */
  @Override
  public Commitment commitment(PaymentRequirements requirements, JsonNode payload)
      throws MalformedPaymentException {
    long expires = payload.path("expiresAt").asLong(0);
    return new Commitment(
        SolanaUptoTypes.u64(payload, "maxAmount"),
        Math.max(expires, validity.now() + SolanaInstructions.BLOCKHASH_SECONDS_MAX),
        Optional.empty());
  }
}
