package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
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

/** What the facilitators of schemes exact and upto by Permit2 share. */
public abstract class Permit2Guards extends EvmFacilitator {
  protected Permit2Guards(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
  }

  /** The call of the proxy that settles this much of a permit. */
  protected abstract byte[] settleCall(PaymentPayload payment, Payload payload, BigInteger amount)
      throws MalformedPaymentException;

  protected static Payload payload(PaymentPayload payment, boolean upto)
      throws PaymentRefusedException {
    try {
      return Payload.fromJson(payment.payload(), upto);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_payload", e.getMessage());
    }
  }

  protected static void requireSpender(Authorization authorization, EvmAddress proxy)
      throws PaymentRefusedException {
    if (!authorization.spender().equals(proxy)) {
      throw new PaymentRefusedException(
          "invalid_permit2_spender", "the permit is for another spender; sign it for " + proxy);
    }
  }

  /** Window, amount, token, signature and simulation: the same for both schemes. */
  protected final void requireSettleable(
      PaymentPayload payment, Payload payload, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    Authorization authorization = payload.authorization();
    requireWindow(
        authorization.witness().validAfter(),
        authorization.deadline(),
        "permit2_not_yet_valid",
        "permit2_deadline_expired");
    requireAmount("permit2_amount_mismatch", authorization.amount(), requirements);
    if (!authorization.token().lower().equalsIgnoreCase(requirements.asset())) {
      throw new PaymentRefusedException(
          "permit2_token_mismatch",
          "the permit is for another token; pay in " + requirements.asset());
    }
    EvmAddress token = requireToken(requirements);
    boolean unused =
        signatures()
            .require(
                authorization.from(),
                digest(authorization, requirements),
                payload.signature(),
                "invalid_permit2_signature");
    simulate(payment, payload, token);
  }

  private static byte[] digest(Authorization authorization, PaymentRequirements requirements)
      throws PaymentRefusedException {
    try {
      return authorization.digest(EvmFields.chainId(requirements));
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_network", e.getMessage());
    }
  }

  private void simulate(PaymentPayload payment, Payload payload, EvmAddress token)
      throws PaymentRefusedException, UnreachableException {
    Authorization authorization = payload.authorization();
    try {
      EvmAddress from = authorization.witness().facilitator().orElse(senders().first());
      byte[] call = settleCall(payment, payload, authorization.amount());
      byte[] unused = chain().call(from, authorization.spender(), call);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_payload", e.getMessage());
    } catch (RefusedException e) {
      throw diagnose(authorization, token, e);
    }
  }

  /** Says why a simulation failed, as precisely as the chain can tell. */
  private PaymentRefusedException diagnose(
      Authorization authorization, EvmAddress token, RefusedException failure)
      throws UnreachableException {
    try {
      EvmAddress proxy = authorization.spender();
      if (chain().code(proxy).length == 0 || chain().code(Permit2Types.PERMIT2).length == 0) {
        return new PaymentRefusedException(
            "permit2_proxy_not_deployed",
            "Permit2 or its proxy " + proxy + " is not on this chain; pay another way");
      }
      if (isUsed(authorization)) {
        return new PaymentRefusedException(
            "permit2_invalid_nonce", "this permit was used before; sign a new one");
      }
      BigInteger balance = balance(token, authorization.from());
      if (balance.compareTo(authorization.amount()) < 0) {
        return new PaymentRefusedException(
            "permit2_insufficient_balance",
            "the payer holds "
                + balance
                + " atomic units, and "
                + authorization.amount()
                + " are needed");
      }
      if (allowance(token, authorization.from()).compareTo(authorization.amount()) < 0) {
        return new PaymentRefusedException(
            "permit2_allowance_required",
            "the payer has not allowed Permit2 to move this token: approve "
                + Permit2Types.PERMIT2
                + " once, or send an eip2612GasSponsoring permit along");
      }
    } catch (RefusedException e) {
      return new PaymentRefusedException(
          "permit2_simulation_failed", "the token does not answer: " + e.getMessage());
    }
    return new PaymentRefusedException(
        "permit2_simulation_failed", "the transfer would fail: " + failure.getMessage());
  }

  private boolean isUsed(Authorization authorization)
      throws UnreachableException, RefusedException {
    return new Permit2Settlement(
            chain(),
            authorization,
            authorization.amount(),
            new byte[0],
            java.util.Optional.empty(),
            new dev.gridtie.x402.evm.Movement.Codes("", "", "", ""))
        .isUsed(senders().first());
  }

  private BigInteger allowance(EvmAddress token, EvmAddress owner)
      throws UnreachableException, RefusedException {
    return Abi.uint(
        chain()
            .call(
                senders().first(),
                token,
                Abi.call(
                    "allowance(address,address)",
                    Abi.word(owner),
                    Abi.word(Permit2Types.PERMIT2))));
  }
}
