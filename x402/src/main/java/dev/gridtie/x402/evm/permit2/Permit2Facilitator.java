package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.evm.permit2.Permit2Types.Payload;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Optional;

/** Verifies and settles scheme exact by Permit2. */
public final class Permit2Facilitator extends Permit2Guards {
  static final String SETTLE =
      "settle(((address,uint256),uint256,uint256),address,(address,uint256),bytes)";
  static final String SETTLE_WITH_PERMIT =
      "settleWithPermit((uint256,uint256,bytes32,bytes32,uint8),((address,uint256),uint256,uint256),address,(address,uint256),bytes)";
  private static final Movement.Codes CODES =
      new Movement.Codes(
          "invalid_exact_evm_transaction_failed",
          "invalid_exact_evm_transfer_event_mismatch",
          "permit2_invalid_nonce",
          "permit2_deadline_expired");

  public Permit2Facilitator(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
  }

  @Override
  protected Verdict.Valid requireValid(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    requireScheme("exact", "invalid_exact_evm_scheme", payment, requirements);
    requireNetwork("invalid_exact_evm_network_mismatch", payment, requirements);
    Payload payload = payload(payment, false);
    Authorization authorization = payload.authorization();
    requireSpender(authorization, Permit2Types.EXACT_PROXY);
    requirePayee("invalid_permit2_recipient_mismatch", authorization.witness().to(), requirements);
    requireSettleable(payment, payload, requirements);
    return new Verdict.Valid(authorization.from().toString());
  }

  @Override
  protected byte[] settleCall(PaymentPayload payment, Payload payload, BigInteger amount)
      throws MalformedPaymentException {
    Authorization a = payload.authorization();
    byte[] words = Abi.concat(a.permitWords(), Abi.word(a.from()), a.witness().words());
    Optional<GasSponsoring> sponsoring = GasSponsoring.of(payment, a.from(), a.token());
    return sponsoring.isPresent()
        ? Abi.concat(
            Abi.selector(SETTLE_WITH_PERMIT),
            sponsoring.get().words(),
            words,
            Abi.trailingBytes(12, payload.signature()))
        : Abi.concat(Abi.selector(SETTLE), words, Abi.trailingBytes(7, payload.signature()));
  }

  @Override
  protected Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException {
    Payload payload = Payload.fromJson(payment.payload(), false);
    BigInteger amount = payload.authorization().amount();
    return new Permit2Settlement(
        chain(),
        payload.authorization(),
        amount,
        settleCall(payment, payload, amount),
        isAllowedAlong(payment),
        Optional.empty(),
        CODES);
  }
}
