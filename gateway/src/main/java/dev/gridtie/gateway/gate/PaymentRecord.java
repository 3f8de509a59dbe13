package dev.gridtie.gateway.gate;

import dev.gridtie.x402.evm.SignedTransaction;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.util.Optional;

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
    String reason) {}
