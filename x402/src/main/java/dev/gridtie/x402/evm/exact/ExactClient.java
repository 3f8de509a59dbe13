package dev.gridtie.x402.evm.exact;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.Nonce;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Signs payments of scheme exact by EIP-3009. */
public final class ExactClient implements PaymentSigner {
  /** A v1 client backdates by this much, for servers whose clock is behind; v2 says 0. */
  private static final long V1_BACKDATED_SECONDS = 600;

  private final EvmKey key;
  private final Validity validity;
  private final SecureRandom random;

  public ExactClient(EvmKey key, InstantSource clock, SecureRandom random) {
    this(key, Validity.usual(clock), random);
  }

  /** With a validity of its payer's choice. */
  public ExactClient(EvmKey key, Validity validity, SecureRandom random) {
    this.key = key;
    this.validity = validity;
    this.random = random;
  }

  @Override
  public boolean canSign(PaymentRequirements requirements) {
    return requirements.scheme().equals(ExactTypes.SCHEME)
        && requirements.network().startsWith("eip155:")
        && !requirements.extra().path("assetTransferMethod").asString("eip3009").equals("permit2");
  }

  @Override
  public JsonNode sign(int version, PaymentRequirements requirements)
      throws MalformedPaymentException {
    long now = validity.now();
    byte[] nonce = new byte[32];
    random.nextBytes(nonce);
    Authorization authorization =
        new Authorization(
            key.address(),
            EvmFields.payTo(requirements),
            requirements.amount(),
            BigInteger.valueOf(version == 1 ? now - V1_BACKDATED_SECONDS : 0),
            BigInteger.valueOf(validity.until(requirements)),
            nonce);
    byte[] digest =
        Eip712.digest(ExactTypes.domainSeparator(requirements), authorization.structHash());
    return new Payload(authorization, key.sign(digest)).toJson();
  }

  @Override
  public Commitment commitment(PaymentRequirements requirements, JsonNode payload)
      throws MalformedPaymentException {
    Authorization signed = Payload.fromJson(payload).authorization();
    return new Commitment(
        signed.value(),
        signed.validBefore().longValueExact(),
        Optional.of(
            new Nonce(
                Nonce.Kind.EIP3009,
                requirements.network(),
                requirements.asset(),
                signed.from().toString(),
                Hex.encode(signed.nonce()))));
  }
}
