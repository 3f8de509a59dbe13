package dev.gridtie.x402.evm.exact;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.Trial;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.Sightings;
import dev.gridtie.x402.evm.Transfers;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Verifies and settles scheme exact by EIP-3009: each guard a named step, in the order of the
 * scheme's specification.
 */
public final class ExactFacilitator extends EvmFacilitator {
  private static final String TRANSFER_VRS =
      "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";
  private static final String TRANSFER_BYTES =
      "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)";
  private static final byte[] USED_EVENT = Transfers.event("AuthorizationUsed(address,bytes32)");
  private static final byte[] CANCELED_EVENT =
      Transfers.event("AuthorizationCanceled(address,bytes32)");
  private static final Movement.Codes CODES =
      new Movement.Codes(
          "invalid_exact_evm_transaction_failed",
          "invalid_exact_evm_transfer_event_mismatch",
          "invalid_exact_evm_nonce_already_used",
          "invalid_exact_evm_payload_authorization_valid_before");

  public ExactFacilitator(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
  }

  @Override
  protected Verdict.Valid requireValid(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    requireScheme(ExactTypes.SCHEME, "invalid_exact_evm_scheme", payment, requirements);
    byte[] domain = domain(requirements);
    requireNetwork("invalid_exact_evm_network_mismatch", payment, requirements);
    Payload payload = payload(payment);
    Authorization authorization = payload.authorization();
    Optional<Trial> trial =
        signatures()
            .requireAndTry(
                authorization.from(),
                Eip712.digest(domain, authorization.structHash()),
                payload.signature(),
                "invalid_exact_evm_signature",
                () ->
                    new Question(
                        senders().first(),
                        EvmAddress.of(requirements.asset()),
                        transferCall(payload, false)));
    requirePayee("invalid_exact_evm_recipient_mismatch", authorization.to(), requirements);
    requireAmount("invalid_exact_evm_authorization_value", authorization.value(), requirements);
    requireWindow(
        authorization.validAfter(),
        authorization.validBefore(),
        "invalid_exact_evm_payload_authorization_valid_after",
        "invalid_exact_evm_payload_authorization_valid_before");
    EvmAddress token = requireToken(requirements);
    simulate(payload, token, requirements, domain, trial);
    return new Verdict.Valid(authorization.from().toString());
  }

  private static byte[] domain(PaymentRequirements requirements) throws PaymentRefusedException {
    try {
      return ExactTypes.domainSeparator(requirements);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_exact_evm_missing_eip712_domain", e.getMessage());
    }
  }

  private static Payload payload(PaymentPayload payment) throws PaymentRefusedException {
    try {
      return Payload.fromJson(payment.payload());
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_payload", e.getMessage());
    }
  }

  private void simulate(
      Payload payload,
      EvmAddress token,
      PaymentRequirements requirements,
      byte[] domain,
      Optional<Trial> trial)
      throws PaymentRefusedException, UnreachableException {
    try {
      byte[] unused =
          trial.isPresent()
              ? trial.get().orThrow()
              : signatures()
                  .tryAsSent(new Question(senders().first(), token, transferCall(payload, true)));
    } catch (RefusedException e) {
      throw diagnose(payload.authorization(), token, requirements, domain, e);
    }
  }

  /** Says why a simulation failed, as precisely as the chain can tell. */
  private PaymentRefusedException diagnose(
      Authorization authorization,
      EvmAddress token,
      PaymentRequirements requirements,
      byte[] domain,
      RefusedException failure)
      throws UnreachableException {
    try {
      if (isUsed(authorization, token)) {
        return new PaymentRefusedException(
            "invalid_exact_evm_nonce_already_used",
            "this authorisation was used before; sign a new one");
      }
      BigInteger balance = balance(token, authorization.from());
      if (balance.compareTo(authorization.value()) < 0) {
        return new PaymentRefusedException(
            "invalid_exact_evm_insufficient_balance",
            "the payer holds "
                + balance
                + " atomic units, and the price is "
                + authorization.value());
      }
      byte[] actual = chain().call(senders().first(), token, Abi.call("DOMAIN_SEPARATOR()"));
      if (!Arrays.equals(actual, domain)) {
        return new PaymentRefusedException(
            "invalid_exact_evm_token_name_mismatch",
            "the token at "
                + requirements.asset()
                + " signs under another name or version than extra says");
      }
    } catch (RefusedException e) {
      return new PaymentRefusedException(
          "invalid_exact_evm_eip3009_not_supported", "the token does not speak EIP-3009");
    }
    return new PaymentRefusedException(
        "invalid_exact_evm_transaction_simulation_failed",
        "the transfer would fail: " + failure.getMessage());
  }

  @Override
  protected Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException, UnreachableException, RefusedException {
    Payload payload = Payload.fromJson(payment.payload());
    EvmAddress token = EvmFields.asset(requirements);
    boolean contract = chain().code(payload.authorization().from()).length > 0;
    return new Transfer(payload, token, contract);
  }

  /** The transfer that an authorisation allows, by the token itself. */
  private final class Transfer implements Movement {
    private final Payload payload;
    private final Authorization authorization;
    private final EvmAddress token;
    private final boolean contract;

    Transfer(Payload payload, EvmAddress token, boolean contract) {
      this.payload = payload;
      this.authorization = payload.authorization();
      this.token = token;
      this.contract = contract;
    }

    @Override
    public EvmAddress to() {
      return token;
    }

    @Override
    public byte[] data() {
      return transferCall(payload, contract);
    }

    @Override
    public BigInteger deadline() {
      return authorization.validBefore();
    }

    @Override
    public boolean moved(EvmChain.Receipt receipt) {
      return Transfers.in(
          receipt, token, authorization.from(), authorization.to(), authorization.value());
    }

    @Override
    public boolean isUsed(EvmAddress asking) throws UnreachableException, RefusedException {
      return ExactFacilitator.this.isUsed(authorization, token);
    }

    /**
     * Anyone may bring an authorisation to the chain. Where somebody else did, the payee has the
     * money all the same, and the payment is settled by that transaction; where the payer cancelled
     * it, nothing moved and nothing will.
     */
    @Override
    public Use use(Optional<SignedTransaction> sent) throws UnreachableException, RefusedException {
      List<byte[]> right = List.of(Abi.word(authorization.from()), authorization.nonce());
      Sightings used = Sightings.of(chain(), token, topics(USED_EVENT, right), true);
      for (EvmChain.Log log : used.logs()) {
        Optional<EvmChain.Receipt> receipt = chain().receipt(log.transactionHash());
        if (receipt.isPresent() && receipt.get().succeeded()) {
          return movedByRight(receipt.get()) ? new Use.Moved(receipt.get()) : new Use.Elsewhere();
        }
      }
      return Sightings.of(chain(), token, topics(CANCELED_EVENT, right), true).logs().isEmpty()
          ? new Use.Unclear("the authorisation is used up, and no event says by which transaction")
          : new Use.Elsewhere();
    }

    private static List<byte[]> topics(byte[] event, List<byte[]> right) {
      return List.of(event, right.get(0), right.get(1));
    }

    /**
     * Whether it was this right that moved the money. One transaction may use several of a payer's:
     * the event of each is followed by the transfer that it allows, and by no other's.
     */
    private boolean movedByRight(EvmChain.Receipt receipt) {
      List<EvmChain.Log> own =
          receipt.logs().stream().filter(l -> l.address().equals(token)).toList();
      for (int i = 0; i + 1 < own.size(); i++) {
        List<byte[]> topics = own.get(i).topics();
        if (topics.size() == 3
            && Arrays.equals(topics.get(0), USED_EVENT)
            && EvmAddress.ofWord(topics.get(1)).equals(authorization.from())
            && Arrays.equals(topics.get(2), authorization.nonce())) {
          return Transfers.is(
              own.get(i + 1),
              token,
              authorization.from(),
              authorization.to(),
              authorization.value());
        }
      }
      return false;
    }

    @Override
    public Optional<Debit> debit() {
      return Optional.of(
          new Debit(
              authorization.from(),
              token,
              authorization.value(),
              "eip3009 " + token.lower() + " " + Hex.encode(authorization.nonce()),
              Optional.empty()));
    }

    @Override
    public Settlement.Settled settled(EvmChain.Receipt receipt) {
      return new Settlement.Settled(
          receipt.transactionHash(),
          authorization.from().toString(),
          authorization.value(),
          receipt.feeWei());
    }

    @Override
    public Codes codes() {
      return CODES;
    }
  }

  private boolean isUsed(Authorization authorization, EvmAddress token)
      throws UnreachableException, RefusedException {
    byte[] call =
        Abi.call(
            "authorizationState(address,bytes32)",
            Abi.word(authorization.from()),
            authorization.nonce());
    return Abi.uint(chain().call(senders().first(), token, call)).signum() != 0;
  }

  private static byte[] transferCall(Payload payload, boolean contract) {
    byte[] words = payload.authorization().words();
    byte[] signature = payload.signature();
    if (contract) {
      return Abi.concat(Abi.selector(TRANSFER_BYTES), words, Abi.trailingBytes(6, signature));
    }
    return Abi.concat(
        Abi.selector(TRANSFER_VRS),
        words,
        Abi.word(BigInteger.valueOf(signature[64])),
        Arrays.copyOfRange(signature, 0, 64));
  }
}
