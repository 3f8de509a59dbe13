package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.Trial;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.Settler;
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

/** What the facilitators of schemes exact and upto by Permit2 share. */
public abstract class Permit2Guards extends EvmFacilitator {
  private final Sponsor sponsor;

  protected Permit2Guards(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
    this.sponsor = new Sponsor(chain, senders(), guard());
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
    requireAmount("permit2_amount_mismatch", authorization.amount(), requirements);
    if (!authorization.token().lower().equalsIgnoreCase(requirements.asset())) {
      throw new PaymentRefusedException(
          "permit2_token_mismatch",
          "the permit is for another token; pay in " + requirements.asset());
    }
    EvmAddress token = requireToken(requirements);
    Optional<Trial> trial =
        signatures()
            .requireAndTry(
                authorization.from(),
                digest(authorization, requirements),
                payload.signature(),
                "invalid_permit2_signature",
                () -> settling(payment, payload));
    requireWindow(
        authorization.witness().validAfter(),
        authorization.deadline(),
        "permit2_not_yet_valid",
        "permit2_deadline_expired");
    if (!approvesWithIt(payment, authorization, token, requirements)) {
      simulate(payment, payload, token, trial);
    }
  }

  /**
   * Whether an approval of Permit2 came along that is needed and could be brought to the chain: the
   * payment itself cannot be simulated before it, but for what the payer holds.
   */
  private boolean approvesWithIt(
      PaymentPayload payment,
      Authorization authorization,
      EvmAddress token,
      PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    EvmAddress payer = authorization.from();
    Optional<ApprovalSponsoring> approval = approval(payment, authorization, requirements);
    if (approval.isPresent() && !guard().isSponsoring()) {
      throw new PaymentRefusedException(
          "erc20_approval_not_sponsored",
          "no gas is given for approvals here: approve Permit2 yourself, and leave "
              + ApprovalSponsoring.KEY
              + " out");
    }
    if (approval.isEmpty()
        || allowance(token, payer).compareTo(authorization.amount()) >= 0
        || isUsed(authorization)
        || balance(token, payer).compareTo(authorization.amount()) < 0) {
      return false; // the simulation says what is wrong, if anything is
    }
    if (!chain().pendingNonce(payer).equals(approval.get().nonce())) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_failed",
          "signedTransaction's nonce is not the payer's next; sign it again");
    }
    BigInteger unused = sponsor.lacking(payer, token, approval.get(), giftMax(authorization));
    return true;
  }

  /** The most gas that may be given for a payment: of a ceiling only little may be used. */
  private BigInteger giftMax(Authorization authorization) {
    return authorization.witness().facilitator().isPresent()
        ? guard().giftMaxOfCeiling(authorization.token(), authorization.amount())
        : guard().giftMax(authorization.token(), authorization.amount());
  }

  private Optional<ApprovalSponsoring> approval(
      PaymentPayload payment, Authorization authorization, PaymentRequirements requirements)
      throws PaymentRefusedException {
    try {
      return ApprovalSponsoring.of(
          payment,
          authorization.from(),
          authorization.token(),
          EvmFields.chainId(requirements),
          senders().feeCap());
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_network", e.getMessage());
    }
  }

  /** Brings an approval that came along to the chain first, where it is needed. */
  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      boolean upto = payment.scheme().equals("upto");
      Authorization authorization = Payload.fromJson(payment.payload(), upto).authorization();
      Optional<ApprovalSponsoring> approval = approval(payment, authorization, requirements);
      if (approval.isPresent()
          && guard().isSponsoring()
          && allowance(authorization.token(), authorization.from())
                  .compareTo(authorization.amount())
              < 0) {
        sponsor.approve(
            authorization.from(), authorization.token(), approval.get(), giftMax(authorization));
      }
    } catch (PaymentRefusedException e) {
      return new Settlement.Failed(e.why());
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", e.getMessage()));
    } catch (RefusedException e) {
      return new Settlement.Failed(
          new Refusal("erc20_approval_broadcast_failed", String.valueOf(e.getMessage())));
    } catch (UnreachableException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "the chain is out of reach: " + e.getMessage()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return new Settlement.Failed(new Refusal("unexpected_settle_error", "interrupted"));
    }
    return super.settle(payment, requirements, beforeSending);
  }

  /** Whether an allowance to Permit2 comes along with a payment. */
  protected static boolean isAllowedAlong(PaymentPayload payment) {
    return payment.extension(GasSponsoring.KEY).has("signature")
        || payment.extension(ApprovalSponsoring.KEY).has("signedTransaction");
  }

  private static byte[] digest(Authorization authorization, PaymentRequirements requirements)
      throws PaymentRefusedException {
    try {
      return authorization.digest(EvmFields.chainId(requirements));
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_network", e.getMessage());
    }
  }

  /** The call that settles the whole of a permit. */
  private Question settling(PaymentPayload payment, Payload payload)
      throws PaymentRefusedException {
    Authorization authorization = payload.authorization();
    try {
      return new Question(
          authorization.witness().facilitator().orElse(senders().first()),
          authorization.spender(),
          settleCall(payment, payload, authorization.amount()));
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_payload", e.getMessage());
    }
  }

  private void simulate(
      PaymentPayload payment, Payload payload, EvmAddress token, Optional<Trial> trial)
      throws PaymentRefusedException, UnreachableException {
    try {
      byte[] unused =
          trial.isPresent()
              ? trial.get().orThrow()
              : signatures().tryAsSent(settling(payment, payload));
    } catch (RefusedException e) {
      throw diagnose(payload.authorization(), token, e);
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
                + " once, or send an eip2612GasSponsoring permit or an erc20ApprovalGasSponsoring"
                + " approval along");
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
            false,
            Optional.empty(),
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
