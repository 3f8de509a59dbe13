package dev.gridtie.x402.evm.upto;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.permit2.GasSponsoring;
import dev.gridtie.x402.evm.permit2.Permit2Guards;
import dev.gridtie.x402.evm.permit2.Permit2Settlement;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.evm.permit2.Permit2Types.Payload;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Verifies and settles scheme upto. Of {@link #verify} the amount is the ceiling, and must be what
 * was permitted; of {@link #settle} it is what was used. A permit settles once, whatever is left of
 * it.
 */
public final class UptoFacilitator extends Permit2Guards {
  private static final String SETTLE =
      "settle(((address,uint256),uint256,uint256),uint256,address,(address,address,uint256),bytes)";
  private static final String SETTLE_WITH_PERMIT =
      "settleWithPermit((uint256,uint256,bytes32,bytes32,uint8),((address,uint256),uint256,uint256),uint256,address,(address,address,uint256),bytes)";
  private static final Movement.Codes CODES =
      new Movement.Codes(
          "invalid_upto_evm_transaction_failed",
          "invalid_upto_evm_transaction_failed",
          "permit2_invalid_nonce",
          "permit2_deadline_expired");

  public UptoFacilitator(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
  }

  @Override
  protected Verdict.Valid requireValid(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    requireScheme("upto", "invalid_upto_evm_scheme", payment, requirements);
    requireNetwork("invalid_upto_evm_network_mismatch", payment, requirements);
    Payload payload = payload(payment, true);
    Authorization authorization = payload.authorization();
    requireSpender(authorization, Permit2Types.UPTO_PROXY);
    requirePayee("invalid_permit2_recipient_mismatch", authorization.witness().to(), requirements);
    EvmAddress facilitator = authorization.witness().facilitator().orElseThrow();
    if (senders().of(facilitator).isEmpty()) {
      throw new PaymentRefusedException(
          "upto_facilitator_mismatch",
          "the permit is for the facilitator "
              + facilitator
              + ", whose key is not here; sign for extra.facilitatorAddress");
    }
    requireSettleable(payment, payload, requirements);
    return new Verdict.Valid(authorization.from().toString());
  }

  @Override
  protected byte[] settleCall(PaymentPayload payment, Payload payload, BigInteger amount)
      throws MalformedPaymentException {
    Authorization a = payload.authorization();
    byte[] words =
        Abi.concat(a.permitWords(), Abi.word(amount), Abi.word(a.from()), a.witness().words());
    Optional<GasSponsoring> sponsoring = GasSponsoring.of(payment, a.from(), a.token());
    return sponsoring.isPresent()
        ? Abi.concat(
            Abi.selector(SETTLE_WITH_PERMIT),
            sponsoring.get().words(),
            words,
            Abi.trailingBytes(14, payload.signature()))
        : Abi.concat(Abi.selector(SETTLE), words, Abi.trailingBytes(9, payload.signature()));
  }

  @Override
  protected Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException {
    Payload payload = Payload.fromJson(payment.payload(), true);
    BigInteger amount = requirements.amount();
    return new Permit2Settlement(
        chain(),
        payload.authorization(),
        amount,
        settleCall(payment, payload, amount),
        isAllowedAlong(payment),
        payload.authorization().witness().facilitator(),
        CODES);
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      Authorization authorization = Payload.fromJson(payment.payload(), true).authorization();
      if (requirements.amount().compareTo(authorization.amount()) > 0) {
        return new Settlement.Failed(
            new Refusal(
                "invalid_upto_evm_payload_settlement_exceeds_amount",
                requirements.amount()
                    + " atomic units are more than the "
                    + authorization.amount()
                    + " that were permitted"));
      }
      if (requirements.amount().signum() == 0) {
        return new Settlement.Settled(
            "", authorization.from().toString(), BigInteger.ZERO, BigInteger.ZERO);
      }
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", e.getMessage()));
    }
    return super.settle(payment, requirements, beforeSending);
  }
}
