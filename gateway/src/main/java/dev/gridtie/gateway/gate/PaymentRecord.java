package dev.gridtie.gateway.gate;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * A payment as the database has it.
 *
 * @param key names it for ever
 * @param fingerprint of the request it came with: method, path and body
 * @param signature the hash of the signed payload, so that nobody who only knows the key gets what
 *     it paid for
 * @param requirements of ours that it answers
 * @param sent the transaction that settles it, once there is one
 * @param transaction the hash of the transaction that did settle it
 * @param requestId of the request it pays
 * @param seed of that request's sampler
 * @param attempts how often an answer was begun
 * @param holding whether money of it is held for an answer
 * @param reason why it failed, a stable code, or empty
 * @param owner the gateway that works on it, or did last
 */
record PaymentRecord(
    String key,
    PaymentState state,
    String fingerprint,
    String signature,
    String payer,
    PaymentPayload payment,
    PaymentRequirements requirements,
    Optional<SignedTransaction> sent,
    String transaction,
    String requestId,
    long seed,
    int attempts,
    boolean holding,
    String reason,
    String owner) {

  /** Somebody sent it, with the request of this ticket. */
  static PaymentRecord claimed(
      Ticket ticket,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements,
      String requestId,
      long seed,
      String owner) {
    return new PaymentRecord(
        ticket.key,
        PaymentState.CLAIMED,
        ticket.fingerprint,
        ticket.signature,
        payer,
        payment,
        requirements,
        Optional.empty(),
        "",
        requestId,
        seed,
        0,
        false,
        "",
        owner);
  }

  /** What a signed-in wallet pays from its balance: nothing moves on a chain for it. */
  static PaymentRecord fromBalance(
      String key,
      String fingerprint,
      String signature,
      String payer,
      PaymentRequirements asked,
      String requestId,
      long seed,
      String owner) {
    ObjectNode message =
        PaymentPayload.v2(Json.object().put("balance", payer), Json.array(), asked.toJson());
    PaymentRequirements balance =
        new PaymentRequirements(
            BALANCE,
            asked.network(),
            asked.amount(),
            asked.asset(),
            asked.payTo(),
            asked.maxTimeoutSeconds(),
            asked.extra());
    return new PaymentRecord(
        key,
        PaymentState.SETTLED,
        fingerprint,
        signature,
        payer,
        new PaymentPayload(
            2,
            asked.scheme(),
            asked.network(),
            Optional.of(asked),
            message.path("payload"),
            message),
        balance,
        Optional.empty(),
        "",
        requestId,
        seed,
        0,
        false,
        "",
        owner);
  }

  /** In place of a scheme's name, where a balance pays. */
  static final String BALANCE = "balance";

  /** Whether somebody works on it, or has still to see what became of it. */
  boolean isOpen() {
    return holding
        || switch (state) {
          case CLAIMED, VERIFIED, SETTLING, UNKNOWN -> true;
          case SETTLED, FAILED -> false;
        };
  }

  /** Another gateway works on it now. */
  PaymentRecord ownedBy(String newOwner) {
    return new PaymentRecord(
        key,
        state,
        fingerprint,
        signature,
        payer,
        payment,
        requirements,
        sent,
        transaction,
        requestId,
        seed,
        attempts,
        holding,
        reason,
        newOwner);
  }

  /** Whether it is paid from a balance. */
  boolean isBalance() {
    return requirements.scheme().equals(BALANCE);
  }

  PaymentRecord with(PaymentState newState) {
    return copy(newState, sent, transaction, attempts, holding, reason);
  }

  /** A transaction for it is signed. */
  PaymentRecord settling(SignedTransaction signed) {
    return copy(PaymentState.SETTLING, Optional.of(signed), transaction, attempts, holding, reason);
  }

  /** An answer is given before it is paid. */
  PaymentRecord giving() {
    return copy(state, sent, transaction, attempts + 1, false, reason);
  }

  /** The same, for what was used of a ceiling. */
  PaymentRecord withRequirements(PaymentRequirements newRequirements) {
    return new PaymentRecord(
        key,
        state,
        fingerprint,
        signature,
        payer,
        payment,
        newRequirements,
        sent,
        transaction,
        requestId,
        seed,
        attempts,
        holding,
        reason,
        owner);
  }

  /** The money has moved, by this transaction. */
  PaymentRecord settled(String by) {
    return copy(PaymentState.SETTLED, sent, by, attempts, false, "");
  }

  PaymentRecord failed(String why) {
    return copy(PaymentState.FAILED, sent, "", attempts, false, why);
  }

  /** Another attempt at its answer holds money. */
  PaymentRecord nextAttempt() {
    return copy(state, sent, transaction, attempts + 1, true, reason);
  }

  /** The attempt's hold has ended. */
  PaymentRecord released() {
    return copy(state, sent, transaction, attempts, false, reason);
  }

  private PaymentRecord copy(
      PaymentState newState,
      Optional<SignedTransaction> newSent,
      String newTransaction,
      int newAttempts,
      boolean newHolding,
      String newReason) {
    return new PaymentRecord(
        key,
        newState,
        fingerprint,
        signature,
        payer,
        payment,
        requirements,
        newSent,
        newTransaction,
        requestId,
        seed,
        newAttempts,
        newHolding,
        newReason,
        owner);
  }
}
