package dev.gridtie.x402.solana.exact;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaChain;
import dev.gridtie.x402.solana.SolanaChain.RefusedException;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaMessage.Compiled;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.solana.exact.SolanaExactTypes.Transfer;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Verifies and settles scheme exact on Solana. Our key signs as the fee payer, and so it is made
 * sure first that it can lose nothing but the fee: it is in no instruction's accounts, and the fee
 * is bounded.
 */
public final class SolanaExactFacilitator implements PaymentScheme {
  private static final int INSTRUCTIONS_MIN = 3;
  private static final int INSTRUCTIONS_MAX = 7;

  /** Signers: the fee payer and the payer. */
  private static final int SIGNERS = 2;

  private static final List<String> UNKNOWN =
      List.of(
          "invalid_exact_svm_payload_unknown_fourth_instruction",
          "invalid_exact_svm_payload_unknown_fifth_instruction",
          "invalid_exact_svm_payload_unknown_sixth_instruction",
          "invalid_exact_svm_payload_unknown_seventh_instruction");

  private static final Duration POLL = Duration.ofMillis(200);
  private static final Duration POLL_FIRST = Duration.ofMillis(20);

  private final SolanaChain chain;
  private final SolanaKey feePayer;
  private final Duration patience;

  /**
   * @param feePayer whose lamports pay the fees
   * @param patience how long {@link #settle} waits for a transaction to be confirmed
   */
  public SolanaExactFacilitator(SolanaChain chain, SolanaKey feePayer, Duration patience) {
    this.chain = chain;
    this.feePayer = feePayer;
    this.patience = patience;
  }

  @Override
  public Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    try {
      requireScheme(payment, requirements);
      requireFeePayer(requirements);
      SolanaTransaction transaction = transaction(payment);
      SolanaMessage message = transaction.message();
      requireSigners(transaction);
      requireComputeBudget(message);
      Transfer transfer = requireTransfer(message, requirements);
      requireOptional(message);
      requireMemo(message, requirements);
      simulate(transaction);
      return new Verdict.Valid(transfer.authority().toString());
    } catch (PaymentRefusedException e) {
      return new Verdict.Invalid(e.why());
    } catch (RefusedException e) {
      return new Verdict.Invalid(
          new Refusal(
              "invalid_exact_svm_verification_failed", "the chain refused: " + e.getMessage()));
    }
  }

  private static void requireScheme(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException {
    if (!payment.scheme().equals(SolanaExactTypes.SCHEME)
        || !requirements.scheme().equals(SolanaExactTypes.SCHEME)) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_unsupported_scheme", "the scheme is not exact");
    }
    if (!payment.network().equals(requirements.network())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_network_mismatch",
          "the payment is for "
              + payment.network()
              + ", and "
              + requirements.network()
              + " was asked");
    }
  }

  private void requireFeePayer(PaymentRequirements requirements) throws PaymentRefusedException {
    String asked = Json.text(requirements.extra(), "feePayer");
    if (asked == null) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_missing_fee_payer", "extra must name the feePayer");
    }
    if (!asked.equals(feePayer.address().toString())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_fee_payer_not_managed_by_facilitator",
          "the fee payer is " + feePayer.address());
    }
  }

  private static SolanaTransaction transaction(PaymentPayload payment)
      throws PaymentRefusedException {
    try {
      return SolanaExactTypes.transaction(payment);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_transaction_could_not_be_decoded", e.getMessage());
    }
  }

  private void requireSigners(SolanaTransaction transaction) throws PaymentRefusedException {
    SolanaMessage message = transaction.message();
    if (message.signers() > SIGNERS) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_excessive_signers", "two sign: the fee payer and the payer");
    }
    if (!message.feePayer().equals(feePayer.address())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_fee_payer_mismatch",
          "the first account must be the fee payer " + feePayer.address());
    }
    for (int i = 1; i < message.signers(); i++) {
      if (!transaction.isSignedBy(message.accounts().get(i))) {
        throw new PaymentRefusedException(
            "invalid_exact_svm_payload_signature_invalid",
            "the signature of " + message.accounts().get(i) + " is not over this transaction");
      }
    }
    for (Compiled instruction : message.instructions()) {
      if (message.names(instruction, feePayer.address())) {
        throw new PaymentRefusedException(
            "invalid_exact_svm_payload_transaction_fee_payer_transferring_funds",
            "the fee payer must not be among an instruction's accounts");
      }
    }
  }

  private static void requireComputeBudget(SolanaMessage message) throws PaymentRefusedException {
    int count = message.instructions().size();
    if (count < INSTRUCTIONS_MIN || count > INSTRUCTIONS_MAX) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_transaction_instructions_length",
          "there must be from "
              + INSTRUCTIONS_MIN
              + " to "
              + INSTRUCTIONS_MAX
              + " instructions, and there are "
              + count);
    }
    byte[] limit =
        budget(
            message,
            0,
            SolanaInstructions.SET_UNIT_LIMIT,
            5,
            "invalid_exact_svm_payload_transaction_instructions_compute_limit_instruction");
    byte[] price =
        budget(
            message,
            1,
            SolanaInstructions.SET_UNIT_PRICE,
            9,
            "invalid_exact_svm_payload_transaction_instructions_compute_price_instruction");
    long units =
        Integer.toUnsignedLong(
            java.nio.ByteBuffer.wrap(limit, 1, 4).order(java.nio.ByteOrder.LITTLE_ENDIAN).getInt());
    if (units > UNITS_MAX) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_transaction_instructions_compute_limit_instruction_too_high",
          "at most " + UNITS_MAX + " compute units are paid for");
    }
    if (SolanaInstructions.u64(price, 1)
            .compareTo(BigInteger.valueOf(SolanaExactTypes.MICROLAMPORTS_MAX))
        > 0) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_transaction_instructions_compute_price_instruction_too_high",
          "at most "
              + SolanaExactTypes.MICROLAMPORTS_MAX
              + " microlamports are paid for a compute unit");
    }
  }

  /** The most compute units that we pay for: a transfer, a memo and a wallet's own guards. */
  private static final long UNITS_MAX = 400_000;

  /**
   * What a transaction costs its fee payer: so much a signature, and for the compute units that it
   * asks for, rounded up. In lamports.
   */
  private static BigInteger fee(SolanaMessage message) {
    long units = 0;
    BigInteger price = BigInteger.ZERO;
    for (SolanaMessage.Compiled instruction : message.instructions()) {
      if (message.program(instruction).equals(SolanaAddress.COMPUTE_BUDGET)) {
        byte[] data = instruction.data();
        if (data.length == 5 && data[0] == SolanaInstructions.SET_UNIT_LIMIT) {
          units =
              Integer.toUnsignedLong(
                  java.nio.ByteBuffer.wrap(data, 1, 4)
                      .order(java.nio.ByteOrder.LITTLE_ENDIAN)
                      .getInt());
        } else if (data.length == 9 && data[0] == SolanaInstructions.SET_UNIT_PRICE) {
          price = SolanaInstructions.u64(data, 1);
        }
      }
    }
    BigInteger micro = price.multiply(BigInteger.valueOf(units));
    BigInteger million = BigInteger.valueOf(1_000_000);
    return micro
        .add(million.subtract(BigInteger.ONE))
        .divide(million)
        .add(BigInteger.valueOf(SIGNATURE_LAMPORTS * SIGNERS));
  }

  /** Solana's price of a signature. */
  private static final long SIGNATURE_LAMPORTS = 5000;

  private static byte[] budget(SolanaMessage message, int place, byte kind, int length, String code)
      throws PaymentRefusedException {
    Compiled instruction = message.instructions().get(place);
    if (!message.program(instruction).equals(SolanaAddress.COMPUTE_BUDGET)
        || instruction.data().length != length
        || instruction.data()[0] != kind) {
      throw new PaymentRefusedException(
          code, "instruction " + (place + 1) + " must set the compute unit's limit or price");
    }
    return instruction.data();
  }

  private Transfer requireTransfer(SolanaMessage message, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    Transfer transfer =
        SolanaExactTypes.transfer(message, message.instructions().get(2))
            .orElseThrow(
                () ->
                    new PaymentRefusedException(
                        "invalid_exact_svm_payload_no_transfer_instruction",
                        "instruction 3 must be TransferChecked of Token or Token-2022"));
    if (transfer.authority().equals(feePayer.address())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_transaction_fee_payer_transferring_funds",
          "the fee payer must not pay");
    }
    if (!transfer.mint().toString().equals(requirements.asset())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_mint_mismatch",
          "the transfer is of another coin; pay in " + requirements.asset());
    }
    if (!transfer.destination().equals(expected(requirements, transfer))) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_recipient_mismatch",
          "the transfer is to another account; pay " + requirements.payTo());
    }
    if (!transfer.amount().equals(requirements.amount())) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_amount_mismatch",
          "the transfer is of "
              + transfer.amount()
              + " atomic units, and the price is "
              + requirements.amount());
    }
    return transfer;
  }

  private static SolanaAddress expected(PaymentRequirements requirements, Transfer transfer)
      throws PaymentRefusedException {
    try {
      return SolanaAddress.tokenAccount(
          SolanaExactTypes.address(requirements.payTo(), "payTo"),
          transfer.program(),
          transfer.mint());
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_payment_requirements", e.getMessage());
    }
  }

  private static void requireOptional(SolanaMessage message) throws PaymentRefusedException {
    for (int i = INSTRUCTIONS_MIN; i < message.instructions().size(); i++) {
      SolanaAddress program = message.program(message.instructions().get(i));
      if (!program.equals(SolanaAddress.MEMO) && !program.equals(SolanaAddress.LIGHTHOUSE)) {
        throw new PaymentRefusedException(
            UNKNOWN.get(i - INSTRUCTIONS_MIN),
            "instruction "
                + (i + 1)
                + " is of "
                + program
                + "; only a memo and a wallet's guards may follow");
      }
    }
  }

  private static void requireMemo(SolanaMessage message, PaymentRequirements requirements)
      throws PaymentRefusedException {
    String wanted = Json.text(requirements.extra(), "memo");
    if (wanted == null) {
      return;
    }
    List<Compiled> memos =
        message.instructions().stream()
            .filter(i -> message.program(i).equals(SolanaAddress.MEMO))
            .toList();
    if (memos.size() != 1) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_memo_count", "there must be one memo: " + wanted);
    }
    if (!java.util.Arrays.equals(memos.getFirst().data(), wanted.getBytes(UTF_8))) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_payload_memo_mismatch", "the memo must be: " + wanted);
    }
  }

  private void simulate(SolanaTransaction transaction)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    Optional<String> error = chain.simulate(transaction.signedBy(feePayer));
    if (error.isPresent()) {
      throw new PaymentRefusedException(
          "invalid_exact_svm_transaction_simulation_failed",
          "the transfer would fail: " + error.get());
    }
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      SolanaTransaction signed = SolanaExactTypes.transaction(payment).signedBy(feePayer);
      long lastHeight = chain.latestBlockhash().lastValidBlockHeight();
      SignedTransaction sent =
          new SignedTransaction(signed.id(), signed.encode(), BigInteger.ZERO, lastHeight);
      beforeSending.accept(sent);
      try {
        chain.send(sent.raw());
      } catch (RefusedException e) {
        Settlement known = reconcile(payment, requirements, sent);
        return known instanceof Settlement.Settled ? known : failed(e.getMessage());
      } catch (UnreachableException e) {
        return new Settlement.Unknown(String.valueOf(e.getMessage()));
      }
      return await(payment, requirements, sent);
    } catch (MalformedPaymentException | IllegalArgumentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", String.valueOf(e.getMessage())));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "the chain is out of reach: " + e.getMessage()));
    }
  }

  private static Settlement failed(@org.jspecify.annotations.Nullable String why) {
    return new Settlement.Failed(
        new Refusal(
            "invalid_exact_svm_transaction_failed", "the chain refused the transfer: " + why));
  }

  private Settlement await(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    long end = System.nanoTime() + patience.toNanos();
    Duration pause = POLL_FIRST;
    while (true) {
      Settlement settlement = reconcile(payment, requirements, sent);
      if (!(settlement instanceof Settlement.Unknown) || System.nanoTime() > end) {
        return settlement;
      }
      try {
        Thread.sleep(pause);
        pause = POLL;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Settlement.Unknown("interrupted");
      }
    }
  }

  /**
   * A transaction is taken at most once, and only while the block it names is recent; after that
   * what the chain does not know of has not happened and will not.
   */
  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    try {
      Optional<SolanaChain.Status> status = chain.status(sent.hash());
      if (status.isPresent()) {
        if (status.get().error().isPresent()) {
          return failed(status.get().error().get());
        }
        return status.get().confirmed()
            ? settled(payment, requirements, sent)
            : new Settlement.Unknown("not confirmed yet");
      }
      if (chain.blockHeight() > sent.sinceBlock()) {
        // Looked for once more: it may have been taken between the two questions.
        return chain.status(sent.hash()).isPresent()
            ? new Settlement.Unknown("just taken")
            : new Settlement.Failed(
                new Refusal("invalid_exact_svm_transaction_failed", "expired before it was taken"));
      }
      chain.send(sent.raw());
      return new Settlement.Unknown("sent again, not taken yet");
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  private Settlement settled(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    try {
      SolanaMessage message = SolanaExactTypes.transaction(payment).message();
      String payer =
          SolanaExactTypes.transfer(message, message.instructions().get(2))
              .map(t -> t.authority().toString())
              .orElse("");
      boolean ours = message.feePayer().equals(feePayer.address());
      BigInteger fee = ours ? fee(message) : BigInteger.ZERO;
      return new Settlement.Settled(sent.hash(), payer, requirements.amount(), fee);
    } catch (MalformedPaymentException e) {
      throw new IllegalStateException("a payment that was settled can be read", e);
    }
  }

  @Override
  public void adopt(PaymentRequirements requirements, SignedTransaction sent) {
    // Nothing is numbered here: a transaction stands for itself.
  }

  @Override
  public boolean isOnChain(PaymentRequirements requirements, String transaction)
      throws UnreachableException {
    try {
      return chain.status(transaction).isPresent();
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }
}
