package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.ApiError.Kind;
import dev.gridtie.x402.wire.Refusal;
import java.util.Set;

/**
 * What is said to a client whose payment does not lead to an answer: what happened, what was
 * charged, what to do.
 */
final class Refusals {
  /** Reasons that lie with us or the chain: the same payment may do later. */
  private static final Set<String> OURS =
      Set.of("unexpected_settle_error", "unexpected_verify_error");

  private Refusals() {}

  /** Whether it lies with us or the chain, and the same may do later. */
  static boolean isOurs(Refusal why) {
    return OURS.contains(why.code());
  }

  static ApiError notTaken(Refusal why) {
    Kind kind = isOurs(why) ? Kind.UNAVAILABLE : Kind.PAYMENT_REQUIRED;
    return ApiError.of(
        kind, why.code(), "The payment was not taken: " + why.message() + ". Nothing was charged.");
  }

  static Refusal exposure(PicoUsd ceiling, PicoUsd cap) {
    return new Refusal(
        "unsettled_limit",
        "this answer could come to "
            + ceiling
            + " before it is paid, and this payer may owe "
            + cap
            + " at most; pay by scheme exact, ask for fewer max_tokens, or wait until what is under way is settled");
  }

  static ApiError balanceSpent() {
    return ApiError.of(
        Kind.PAYMENT_REQUIRED,
        "insufficient_balance",
        "The wallet's balance here does not reach any more. Nothing was charged; pay this request by x402.");
  }

  static ApiError nameUsed() {
    return ApiError.of(
        Kind.CONFLICT,
        "payment_identifier_used",
        "This payment-identifier names another request of this payer's. Nothing was charged; choose a new one.");
  }

  static ApiError spent() {
    return ApiError.of(
        Kind.CONFLICT,
        "payment_spent",
        "This payment was settled for the part of its answer that was delivered. Sign a new one; you were not charged"
            + " again.");
  }

  static ApiError reused() {
    return ApiError.of(
        Kind.CONFLICT,
        "payment_reused",
        "This payment was sent before with another request. Sign a new payment for this one; you were not charged again.");
  }

  static ApiError forgotten(String receiptId) {
    return ApiError.of(
        Kind.CONFLICT,
        "answer_forgotten",
        "This payment's answer was delivered and is no longer kept. Its receipt is "
            + receiptId
            + ".");
  }

  static ApiError pending() {
    return ApiError.of(
        Kind.UNAVAILABLE,
        "settlement_pending",
        "It is not known yet whether this payment went through. Send the same request with the same payment again in a"
            + " moment: it is never charged twice. Do not sign a new payment.");
  }

  static ApiError chainUnreachable() {
    return ApiError.of(
        Kind.UNAVAILABLE,
        "chain_unreachable",
        "The chain is out of reach, so no payment can be taken now. Nothing was charged; the same payment can be sent"
            + " again.");
  }

  static ApiError ledgerUnavailable() {
    return ApiError.of(
        Kind.UNAVAILABLE,
        "ledger_unavailable",
        "The ledger cannot be written. If the payment was taken, the same request with the same payment gets its answer"
            + " later; it is never charged twice.");
  }

  static ApiError tooManyPayments() {
    return ApiError.of(
        Kind.RATE_LIMITED,
        "too_many_payments",
        "Too many payments are being worked on; come again.");
  }

  static ApiError internal() {
    return ApiError.of(
        Kind.INTERNAL,
        "internal_error",
        "Something went wrong on our side. The same request with the same payment is never charged twice.");
  }
}
