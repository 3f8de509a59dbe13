package dev.gridtie.x402.facilitator;

import java.math.BigInteger;

/**
 * A transaction that is signed and may or may not be on its chain.
 *
 * @param hash what the chain calls it, known before it is sent: on EVM its hash, on Solana the fee
 *     payer's signature
 * @param raw the bytes to send, and to send again
 * @param nonce the sender's, on EVM
 * @param sinceBlock on EVM the head when it was signed: it cannot have been mined before; on Solana
 *     the last block height at which it can still be mined
 */
public record SignedTransaction(String hash, byte[] raw, BigInteger nonce, long sinceBlock) {}
