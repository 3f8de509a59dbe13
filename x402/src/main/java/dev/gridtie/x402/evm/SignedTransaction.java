package dev.gridtie.x402.evm;

import java.math.BigInteger;

/**
 * A transaction that is signed and may or may not be on the chain.
 *
 * @param hash its hash, known before it is sent
 * @param raw the bytes to send, and to send again
 * @param nonce the sender's
 * @param sinceBlock the head of the chain when it was signed: it cannot have been mined before
 */
public record SignedTransaction(String hash, byte[] raw, BigInteger nonce, long sinceBlock) {}
