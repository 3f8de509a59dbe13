/**
 * Scheme batch-settlement on EVM: a payer deposits into a channel, signs a voucher for each call,
 * and many vouchers are claimed in one transaction.
 */
@NullMarked
package dev.gridtie.x402.evm.batch;

import org.jspecify.annotations.NullMarked;
