package dev.gridtie.x402.wire;

/**
 * Why a payment was not taken.
 *
 * @param code a stable name from the protocol (x402 v2 §9, facts of the exact scheme), or {@code
 *     invalid_payload}
 * @param message one sentence: what was wrong, and what to do
 */
public record Refusal(String code, String message) {}
