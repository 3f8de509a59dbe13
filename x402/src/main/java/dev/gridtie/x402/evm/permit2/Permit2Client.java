package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.evm.permit2.Permit2Types.Payload;
import dev.gridtie.x402.evm.permit2.Permit2Types.Witness;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Signs payments of scheme exact by Permit2. */
public final class Permit2Client implements PaymentSigner {
  private final EvmKey key;
  private final Validity validity;
  private final SecureRandom random;

  public Permit2Client(EvmKey key, InstantSource clock, SecureRandom random) {
    this(key, Validity.usual(clock), random);
  }

  /** With a validity of its payer's choice. */
  public Permit2Client(EvmKey key, Validity validity, SecureRandom random) {
    this.key = key;
    this.validity = validity;
    this.random = random;
  }

  @Override
  public boolean canSign(PaymentRequirements requirements) {
    return requirements.scheme().equals("exact")
        && requirements.network().startsWith("eip155:")
        && requirements
            .extra()
            .path("assetTransferMethod")
            .asString("")
            .equals(Permit2Types.METHOD);
  }

  @Override
  public JsonNode sign(int version, PaymentRequirements requirements)
      throws MalformedPaymentException {
    byte[] nonce = new byte[32];
    random.nextBytes(nonce);
    long until = validity.until(requirements);
    Authorization authorization =
        new Authorization(
            key.address(),
            EvmFields.asset(requirements),
            requirements.amount(),
            Permit2Types.EXACT_PROXY,
            new BigInteger(1, nonce),
            BigInteger.valueOf(until),
            new Witness(EvmFields.payTo(requirements), Optional.empty(), BigInteger.ZERO));
    byte[] signature = key.sign(authorization.digest(EvmFields.chainId(requirements)));
    return new Payload(authorization, signature).toJson();
  }

  @Override
  public Commitment commitment(PaymentRequirements requirements, JsonNode payload)
      throws MalformedPaymentException {
    return Payload.fromJson(payload, false).authorization().commitment(requirements.network());
  }
}
