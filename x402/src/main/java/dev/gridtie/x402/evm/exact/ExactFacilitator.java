package dev.gridtie.x402.evm.exact;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.UnreachableException;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.evm.SignedTransaction;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * Verifies and settles scheme exact by EIP-3009: each guard a named step, in the order of the
 * scheme's specification.
 */
public final class ExactFacilitator implements PaymentScheme {
  /** A payment must stay valid at least this much longer: the time that settling may take. */
  public static final long VALID_SECONDS_MIN = 6;

  private static final String TRANSFER_VRS =
      "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";
  private static final String TRANSFER_BYTES =
      "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)";
  private static final byte[] TRANSFER_EVENT = event("Transfer(address,address,uint256)");
  private static final byte[] USED_EVENT = event("AuthorizationUsed(address,bytes32)");

  /** isValidSignature(bytes32,bytes) answers with its own selector (EIP-1271). */
  private static final byte[] EIP1271_MAGIC = Hex.decode("0x1626ba7e");

  /** The tail of a signature for a wallet that is not deployed yet (ERC-6492). */
  private static final byte[] ERC6492_TAIL =
      Hex.decode("0x6492649264926492649264926492649264926492649264926492649264926492");

  private static final Duration POLL_FIRST = Duration.ofMillis(20);
  private static final Duration POLL_MAX = Duration.ofSeconds(1);

  private final EvmChain chain;
  private final Sender sender;
  private final InstantSource clock;
  private final Duration settleTimeout;

  /**
   * @param sender brings transactions to the chain and pays their gas
   * @param settleTimeout how long {@link #settle} waits for a transaction to be mined
   */
  public ExactFacilitator(
      EvmChain chain, Sender sender, InstantSource clock, Duration settleTimeout) {
    this.chain = chain;
    this.sender = sender;
    this.clock = clock;
    this.settleTimeout = settleTimeout;
  }

  /** Ends a verification with a refusal; never leaves this class. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    private final transient Refusal why;

    Refused(String code, String message) {
      super(message);
      this.why = new Refusal(code, message);
    }
  }

  @Override
  public Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    try {
      requireScheme(payment, requirements);
      byte[] domain = domain(requirements);
      requireNetwork(payment, requirements);
      Payload payload = payload(payment);
      Authorization authorization = payload.authorization();
      boolean contract = requireSignature(payload, domain);
      requirePayee(authorization, requirements);
      requireWindow(authorization);
      requireValue(authorization, requirements);
      EvmAddress token = requireToken(requirements);
      simulate(payload, token, requirements, domain, contract);
      return new Verdict.Valid(authorization.from().toString());
    } catch (Refused e) {
      return new Verdict.Invalid(e.why);
    } catch (RefusedException e) {
      return new Verdict.Invalid(
          new Refusal("unexpected_verify_error", "the chain refused: " + e.getMessage()));
    }
  }

  private static void requireScheme(PaymentPayload payment, PaymentRequirements requirements)
      throws Refused {
    if (!payment.scheme().equals(ExactTypes.SCHEME)
        || !requirements.scheme().equals(ExactTypes.SCHEME)) {
      throw new Refused("invalid_exact_evm_scheme", "the scheme is not exact");
    }
  }

  private static byte[] domain(PaymentRequirements requirements) throws Refused {
    try {
      return ExactTypes.domainSeparator(requirements);
    } catch (MalformedPaymentException e) {
      throw new Refused("invalid_exact_evm_missing_eip712_domain", e.getMessage());
    }
  }

  private static void requireNetwork(PaymentPayload payment, PaymentRequirements requirements)
      throws Refused {
    if (!payment.network().equals(requirements.network())) {
      throw new Refused(
          "invalid_exact_evm_network_mismatch",
          "the payment is for "
              + payment.network()
              + ", and "
              + requirements.network()
              + " was asked");
    }
  }

  private static Payload payload(PaymentPayload payment) throws Refused {
    try {
      return Payload.fromJson(payment.payload());
    } catch (MalformedPaymentException e) {
      throw new Refused("invalid_payload", e.getMessage());
    }
  }

  /**
   * Routes by the payer's code: none means ECDSA, some means EIP-1271 and nothing else. Says
   * whether it was a contract.
   */
  private boolean requireSignature(Payload payload, byte[] domain)
      throws Refused, UnreachableException, RefusedException {
    byte[] signature = payload.signature();
    EvmAddress from = payload.authorization().from();
    byte[] digest = Eip712.digest(domain, payload.authorization().structHash());
    boolean hasCode = chain.code(from).length > 0;
    if (!hasCode
        && signature.length > ERC6492_TAIL.length
        && Arrays.equals(
            Arrays.copyOfRange(signature, signature.length - ERC6492_TAIL.length, signature.length),
            ERC6492_TAIL)) {
      throw new Refused(
          "eip6492_factory_not_allowed",
          "wallets that are not deployed yet are not taken: deploy it first");
    }
    boolean valid =
        hasCode
            ? isValidEip1271(from, digest, signature)
            : Signatures.recover(digest, signature).equals(Optional.of(from));
    if (!valid) {
      throw new Refused(
          "invalid_exact_evm_signature",
          "the signature is not the payer's over this authorisation (65 bytes, low s, v 27 or 28)");
    }
    return hasCode;
  }

  private boolean isValidEip1271(EvmAddress wallet, byte[] digest, byte[] signature)
      throws UnreachableException {
    byte[] call =
        Abi.concat(
            Abi.selector("isValidSignature(bytes32,bytes)"),
            digest,
            Abi.trailingBytes(1, signature));
    try {
      byte[] answer = chain.call(sender.address(), wallet, call);
      return answer.length == 32 && Arrays.equals(answer, Arrays.copyOf(EIP1271_MAGIC, 32));
    } catch (RefusedException e) {
      return false;
    }
  }

  private static void requirePayee(Authorization authorization, PaymentRequirements requirements)
      throws Refused {
    if (!authorization.to().lower().equalsIgnoreCase(requirements.payTo())) {
      throw new Refused(
          "invalid_exact_evm_recipient_mismatch",
          "the authorisation pays somebody else; pay " + requirements.payTo());
    }
  }

  private void requireWindow(Authorization authorization) throws Refused {
    BigInteger now = BigInteger.valueOf(clock.instant().getEpochSecond());
    if (authorization.validBefore().compareTo(now.add(BigInteger.valueOf(VALID_SECONDS_MIN))) < 0) {
      throw new Refused(
          "invalid_exact_evm_payload_authorization_valid_before",
          "the authorisation has expired, or does within "
              + VALID_SECONDS_MIN
              + " s; sign a new one");
    }
    if (authorization.validAfter().compareTo(now) > 0) {
      throw new Refused(
          "invalid_exact_evm_payload_authorization_valid_after",
          "the authorisation is not valid yet");
    }
  }

  private static void requireValue(Authorization authorization, PaymentRequirements requirements)
      throws Refused {
    if (!authorization.value().equals(requirements.amount())) {
      throw new Refused(
          "invalid_exact_evm_authorization_value",
          "the authorisation is for "
              + authorization.value()
              + " atomic units, and the price is "
              + requirements.amount());
    }
  }

  private EvmAddress requireToken(PaymentRequirements requirements)
      throws Refused, UnreachableException, RefusedException {
    try {
      EvmAddress token = ExactTypes.asset(requirements);
      if (chain.code(token).length == 0) {
        throw new Refused(
            "asset_not_deployed_contract", "there is no contract at " + token + " on this chain");
      }
      return token;
    } catch (MalformedPaymentException e) {
      throw new Refused("invalid_payment_requirements", e.getMessage());
    }
  }

  private void simulate(
      Payload payload,
      EvmAddress token,
      PaymentRequirements requirements,
      byte[] domain,
      boolean contract)
      throws Refused, UnreachableException {
    try {
      chain.call(sender.address(), token, transferCall(payload, contract));
    } catch (RefusedException e) {
      throw diagnose(payload.authorization(), token, requirements, domain, e);
    }
  }

  /** Says why a simulation failed, as precisely as the chain can tell. */
  private Refused diagnose(
      Authorization authorization,
      EvmAddress token,
      PaymentRequirements requirements,
      byte[] domain,
      RefusedException failure)
      throws UnreachableException {
    try {
      if (isUsed(authorization, token)) {
        return new Refused(
            "invalid_exact_evm_nonce_already_used",
            "this authorisation was used before; sign a new one");
      }
      BigInteger balance =
          Abi.uint(
              chain.call(
                  sender.address(),
                  token,
                  Abi.call("balanceOf(address)", Abi.word(authorization.from()))));
      if (balance.compareTo(authorization.value()) < 0) {
        return new Refused(
            "invalid_exact_evm_insufficient_balance",
            "the payer holds "
                + balance
                + " atomic units, and the price is "
                + authorization.value());
      }
      byte[] actual = chain.call(sender.address(), token, Abi.call("DOMAIN_SEPARATOR()"));
      if (!Arrays.equals(actual, domain)) {
        return new Refused(
            "invalid_exact_evm_token_name_mismatch",
            "the token at "
                + requirements.asset()
                + " signs under another name or version than extra says");
      }
    } catch (RefusedException e) {
      return new Refused(
          "invalid_exact_evm_eip3009_not_supported", "the token does not speak EIP-3009");
    }
    return new Refused(
        "invalid_exact_evm_transaction_simulation_failed",
        "the transfer would fail: " + failure.getMessage());
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    AtomicReference<SignedTransaction> noted = new AtomicReference<>();
    try {
      Payload payload = Payload.fromJson(payment.payload());
      EvmAddress token = ExactTypes.asset(requirements);
      boolean contract = chain.code(payload.authorization().from()).length > 0;
      SignedTransaction sent =
          sender.send(
              token,
              transferCall(payload, contract),
              signed -> {
                beforeSending.accept(signed);
                noted.set(signed);
              });
      return await(payment, requirements, sent);
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", String.valueOf(e.getMessage())));
    } catch (Sender.FeeCapException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "gas is too expensive now: " + e.getMessage()));
    } catch (RefusedException e) {
      SignedTransaction sent = noted.get();
      return sent == null
          ? new Settlement.Failed(
              new Refusal(
                  "invalid_exact_evm_transaction_failed",
                  "the chain refused the transfer: " + e.getMessage()))
          : reconcile(payment, requirements, sent);
    } catch (UnreachableException e) {
      return noted.get() == null
          ? new Settlement.Failed(
              new Refusal(
                  "unexpected_settle_error", "the chain is out of reach: " + e.getMessage()))
          : new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  private Settlement await(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    long end = System.nanoTime() + settleTimeout.toNanos();
    Duration pause = POLL_FIRST;
    while (true) {
      try {
        Optional<EvmChain.Receipt> receipt = chain.receipt(sent.hash());
        if (receipt.isPresent()) {
          return reconcile(payment, requirements, sent);
        }
        if (System.nanoTime() > end) {
          return new Settlement.Unknown("not mined within " + settleTimeout.toSeconds() + " s");
        }
        Thread.sleep(pause);
        pause = pause.multipliedBy(2).compareTo(POLL_MAX) > 0 ? POLL_MAX : pause.multipliedBy(2);
      } catch (UnreachableException | RefusedException e) {
        return new Settlement.Unknown(String.valueOf(e.getMessage()));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Settlement.Unknown("interrupted");
      }
    }
  }

  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    try {
      Authorization authorization = Payload.fromJson(payment.payload()).authorization();
      EvmAddress token = ExactTypes.asset(requirements);
      Optional<EvmChain.Receipt> own = chain.receipt(sent.hash());
      if (own.isPresent()) {
        sender.mined(sent);
      }
      if (own.isPresent() && own.get().succeeded()) {
        return moved(own.get(), authorization, token)
            ? settled(own.get(), authorization)
            : new Settlement.Failed(
                new Refusal(
                    "invalid_exact_evm_transfer_event_mismatch",
                    "transaction "
                        + sent.hash()
                        + " succeeded without the expected Transfer event"));
      }
      if (isUsed(authorization, token)) {
        sender.resolved(sent);
        return usedByAnother(authorization, token, sent);
      }
      if (own.isPresent()) {
        return new Settlement.Failed(
            new Refusal(
                "invalid_exact_evm_transaction_failed",
                "transaction " + sent.hash() + " reverted"));
      }
      if (BigInteger.valueOf(chain.latestBlock().timestamp()).compareTo(authorization.validBefore())
          >= 0) {
        sender.resolved(sent);
        return new Settlement.Failed(
            new Refusal(
                "invalid_exact_evm_payload_authorization_valid_before",
                "expired before it was mined"));
      }
      sender.sendAgain(sent);
      return new Settlement.Unknown("sent again, not mined yet");
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", String.valueOf(e.getMessage())));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  /**
   * Anyone may bring an authorisation to the chain. Where somebody else did, the payee has the
   * money all the same, and the payment is settled by that transaction; where the payer cancelled
   * it, nothing moved and nothing will.
   */
  private Settlement usedByAnother(
      Authorization authorization, EvmAddress token, SignedTransaction sent)
      throws UnreachableException, RefusedException {
    List<EvmChain.Log> used =
        chain.logs(
            token,
            sent.sinceBlock(),
            List.of(USED_EVENT, Abi.word(authorization.from()), authorization.nonce()));
    for (EvmChain.Log log : used) {
      Optional<EvmChain.Receipt> receipt = chain.receipt(log.transactionHash());
      if (receipt.isPresent()
          && receipt.get().succeeded()
          && moved(receipt.get(), authorization, token)) {
        return settled(receipt.get(), authorization);
      }
    }
    return new Settlement.Failed(
        new Refusal(
            "invalid_exact_evm_nonce_already_used",
            "the authorisation was cancelled or used before this payment"));
  }

  private static Settlement settled(EvmChain.Receipt receipt, Authorization authorization) {
    return new Settlement.Settled(
        receipt.transactionHash(),
        authorization.from().toString(),
        authorization.value(),
        receipt.feeWei());
  }

  private static boolean moved(
      EvmChain.Receipt receipt, Authorization authorization, EvmAddress token) {
    return receipt.logs().stream()
        .anyMatch(
            log ->
                log.address().equals(token)
                    && log.topics().size() == 3
                    && Arrays.equals(log.topics().get(0), TRANSFER_EVENT)
                    && EvmAddress.ofWord(log.topics().get(1)).equals(authorization.from())
                    && EvmAddress.ofWord(log.topics().get(2)).equals(authorization.to())
                    && Abi.uint(log.data()).equals(authorization.value()));
  }

  private boolean isUsed(Authorization authorization, EvmAddress token)
      throws UnreachableException, RefusedException {
    byte[] call =
        Abi.call(
            "authorizationState(address,bytes32)",
            Abi.word(authorization.from()),
            authorization.nonce());
    return Abi.uint(chain.call(sender.address(), token, call)).signum() != 0;
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

  private static byte[] event(String signature) {
    return Hashes.keccak256(signature.getBytes(US_ASCII));
  }
}
