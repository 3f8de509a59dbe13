package dev.gridtie.x402.solana.upto;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaMessage.Compiled;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.solana.SolanaMessage.MalformedException;
import dev.gridtie.x402.solana.SolanaMessage.Meta;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.solana.upto.SolanaUptoTypes.Terms;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * What can be seen of a payment of scheme upto on Solana without asking the chain: that its
 * transaction opens the very channel that was asked for, and does nothing else at the fee payer's
 * cost. The transaction is compared with the one that these terms lead to, account by account.
 */
public final class SolanaUptoGuards {
  /** The most compute units, and the most millionths of a lamport for one, that are paid for. */
  private static final BigInteger UNITS_MAX = BigInteger.valueOf(400_000);

  private static final BigInteger MICROLAMPORTS_MAX = BigInteger.valueOf(5_000_000);

  /** A channel is open for so many seconds at most. */
  private static final long LIFETIME_MAX = 3600;

  /** So many seconds a payer's clock may go wrong. */
  private static final long SKEW_MAX = 60;

  /** So many slots a channel's may lie back. */
  private static final BigInteger SLOTS_MAX = BigInteger.valueOf(1500);

  /** So many memos and guards of a wallet may follow. */
  private static final int OTHERS_MAX = 4;

  private static final String P = "invalid_upto_svm_payload_";

  private final SolanaAddress feePayer;
  private final InstantSource clock;

  /**
   * @param feePayer who would pay the fees and the rent
   */
  public SolanaUptoGuards(SolanaAddress feePayer, InstantSource clock) {
    this.feePayer = feePayer;
    this.clock = clock;
  }

  /**
   * Looks at a payment.
   *
   * @param requirements of the server, with the {@code recentSlot} that it has said
   */
  public Verdict look(PaymentPayload payment, PaymentRequirements requirements) {
    try {
      return new Verdict.Valid(requireOpen(payment, requirements).toString());
    } catch (PaymentRefusedException e) {
      return new Verdict.Invalid(e.why());
    }
  }

  private SolanaAddress requireOpen(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException {
    JsonNode payload = payment.payload();
    requireKind(payment, requirements);
    Terms terms = terms(requirements);
    if (!terms.feePayer().equals(feePayer)) {
      throw new PaymentRefusedException("facilitator_mismatch", "the fee payer is " + feePayer);
    }
    require(
        terms.authorizer().toString().equals(Json.text(payload, "authorizedSigner")),
        "receiver_authorizer",
        "authorizedSigner must be " + terms.authorizer());
    requireAmounts(payload, terms);
    BigInteger openSlot = seed(payload, "openSlot");
    BigInteger nonce = seed(payload, "nonce");
    BigInteger recent = seed(requirements.extra(), "recentSlot");
    requireTimes(payload, requirements);
    SolanaAddress from = from(payload);
    SolanaTransaction transaction = transaction(payload);
    requireTransaction(transaction, requirements, terms.open(from, nonce, openSlot), from);
    require(
        openSlot.compareTo(recent) <= 0 && recent.subtract(openSlot).compareTo(SLOTS_MAX) <= 0,
        "open_transaction",
        "openSlot must be at most " + SLOTS_MAX + " slots before " + recent);
    require(
        terms.channel(from, nonce, openSlot).toString().equals(Json.text(payload, "channelId")),
        "channel_id",
        "channelId is not that of the channel which is opened");
    return from;
  }

  private static void require(boolean is, String code, String why) throws PaymentRefusedException {
    if (!is) {
      throw new PaymentRefusedException(P + code, why);
    }
  }

  private static void requireKind(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException {
    for (String field : Set.of("openTransaction", "channelId", "from")) {
      if (Json.text(payment.payload(), field) == null) {
        throw new PaymentRefusedException(
            "unsupported_payload_type", "there is no " + field + " in the payload");
      }
    }
    if (!payment.scheme().equals(SolanaUptoTypes.SCHEME)
        || !requirements.scheme().equals(SolanaUptoTypes.SCHEME)) {
      throw new PaymentRefusedException("unsupported_scheme", "the scheme is not upto");
    }
    if (!payment.network().equals(requirements.network())) {
      throw new PaymentRefusedException(
          "network_mismatch", requirements.network() + " was asked for");
    }
    require(
        !payment.payload().has("voucherSignature"),
        "unexpected_voucher",
        "a payer sends no voucher");
    require(!payment.payload().has("type"), "type", "a payer says no type");
  }

  private static Terms terms(PaymentRequirements requirements) throws PaymentRefusedException {
    try {
      return Terms.of(requirements);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_upto_svm_payment_requirements", e.getMessage());
    }
  }

  private static void requireAmounts(JsonNode payload, Terms terms) throws PaymentRefusedException {
    BigInteger most;
    BigInteger deposit;
    try {
      most = Fields.decimal(payload, "maxAmount", 20);
      deposit = Fields.decimal(payload, "deposit", 20);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(P + "amount", e.getMessage());
    }
    require(most.equals(terms.ceiling()), "amount_mismatch", "the ceiling is " + terms.ceiling());
    require(deposit.equals(most), "deposit_not_ceiling", "the deposit must be the ceiling");
  }

  private static BigInteger seed(JsonNode object, String key) throws PaymentRefusedException {
    try {
      return SolanaUptoTypes.u64(object, key);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(P + "channel_seed", e.getMessage());
    }
  }

  private void requireTimes(JsonNode payload, PaymentRequirements requirements)
      throws PaymentRefusedException {
    long now = clock.instant().getEpochSecond();
    long from = payload.path("validAfter").asLong(Long.MAX_VALUE);
    long until = payload.path("expiresAt").asLong(0);
    long asked = requirements.maxTimeoutSeconds();
    require(now >= from, "not_yet_active", "it is not valid yet");
    require(now < until, "expired", "it has expired");
    require(
        asked <= LIFETIME_MAX && until <= now + LIFETIME_MAX + SKEW_MAX,
        "channel_lifetime_exceeded",
        "a channel is open for at most " + LIFETIME_MAX + " s");
    require(
        until <= now + asked + SKEW_MAX,
        "expires_at_mismatch",
        "it must expire within " + asked + " s");
  }

  private static SolanaAddress from(JsonNode payload) throws PaymentRefusedException {
    try {
      return SolanaUptoTypes.address(Fields.text(payload, "from"), "from");
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(P + "payer_mismatch", e.getMessage());
    }
  }

  private static SolanaTransaction transaction(JsonNode payload) throws PaymentRefusedException {
    try {
      return SolanaTransaction.fromBase64(Fields.text(payload, "openTransaction"));
    } catch (MalformedException | MalformedPaymentException e) {
      throw new PaymentRefusedException(P + "open_transaction", String.valueOf(e.getMessage()));
    }
  }

  private void requireTransaction(
      SolanaTransaction transaction,
      PaymentRequirements requirements,
      Instruction open,
      SolanaAddress from)
      throws PaymentRefusedException {
    SolanaMessage message = transaction.message();
    Set<SolanaAddress> signers = Set.copyOf(message.accounts().subList(0, message.signers()));
    requireOpening(
        message.feePayer().equals(feePayer) && signers.equals(Set.of(feePayer, from)),
        "the fee payer and the payer sign it, and nobody else");
    requireOpening(transaction.isSignedBy(from), "the payer has not signed it");
    int at = requireBudget(message);
    requireOpening(at < message.instructions().size(), "it opens nothing");
    requireSame(message, message.instructions().get(at), open);
    requireNothingElse(message, at + 1, requirements);
    requireNothingElseWritten(message, open);
  }

  private static void requireOpening(boolean is, String why) throws PaymentRefusedException {
    require(is, "open_transaction", why);
  }

  /** A limit and a price at most, in this order; where the opening stands. */
  private int requireBudget(SolanaMessage message) throws PaymentRefusedException {
    int at = 0;
    boolean priced = false;
    while (at < message.instructions().size()
        && message.program(message.instructions().get(at)).equals(SolanaAddress.COMPUTE_BUDGET)) {
      Compiled instruction = message.instructions().get(at);
      var limit = SolanaInstructions.unitLimit(message, instruction);
      var price = SolanaInstructions.unitPrice(message, instruction);
      requireOpening(
          limit.isPresent() ? at == 0 : price.isPresent() && !priced,
          "a compute budget that is not a limit and then a price");
      requireOpening(
          limit.orElse(BigInteger.ZERO).compareTo(UNITS_MAX) <= 0
              && price.orElse(BigInteger.ZERO).compareTo(MICROLAMPORTS_MAX) <= 0,
          "a compute budget above " + UNITS_MAX + " units or " + MICROLAMPORTS_MAX + " for one");
      requireOpening(!message.names(instruction, feePayer), "the fee payer in a compute budget");
      priced |= price.isPresent();
      at++;
    }
    return at;
  }

  private static void requireSame(SolanaMessage message, Compiled found, Instruction wanted)
      throws PaymentRefusedException {
    requireOpening(
        message.program(found).equals(wanted.program()), "another program where it should open");
    requireOpening(
        Arrays.equals(found.data(), wanted.data()),
        "it opens another channel: nonce, deposit, delay, slot or payee differ");
    List<SolanaAddress> accounts = new ArrayList<>();
    for (int i = 0; i < found.accounts().length; i++) {
      accounts.add(message.account(found, i));
    }
    requireOpening(
        accounts.equals(wanted.accounts().stream().map(Meta::address).toList()),
        "it opens with other accounts");
  }

  private void requireNothingElse(SolanaMessage message, int from, PaymentRequirements requirements)
      throws PaymentRefusedException {
    List<Compiled> others = message.instructions().subList(from, message.instructions().size());
    requireOpening(others.size() <= OTHERS_MAX, "too much follows the opening");
    List<byte[]> memos = new ArrayList<>();
    for (Compiled other : others) {
      SolanaAddress program = message.program(other);
      boolean memo = program.equals(SolanaAddress.MEMO);
      requireOpening(
          memo || program.equals(SolanaAddress.LIGHTHOUSE),
          "only a memo and a wallet's guards may follow the opening");
      requireOpening(!message.names(other, feePayer), "the fee payer after the opening");
      if (memo) {
        memos.add(other.data());
      }
    }
    String wanted = Json.text(requirements.extra(), "memo");
    requireOpening(
        wanted == null
            || (memos.size() == 1 && Arrays.equals(memos.getFirst(), wanted.getBytes(UTF_8))),
        "there must be one memo: " + wanted);
  }

  private static void requireNothingElseWritten(SolanaMessage message, Instruction open)
      throws PaymentRefusedException {
    int others = message.accounts().size() - message.signers() - message.readonlyOthers();
    List<SolanaAddress> written = new ArrayList<>();
    written.addAll(message.accounts().subList(0, message.signers() - message.readonlySigners()));
    written.addAll(message.accounts().subList(message.signers(), message.signers() + others));
    Set<SolanaAddress> wanted =
        Set.copyOf(
            open.accounts().stream().filter(Meta::writable).map(Meta::address).distinct().toList());
    requireOpening(
        Set.copyOf(written).equals(wanted), "it writes other accounts than opening does");
  }
}
