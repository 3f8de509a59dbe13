/**
 * Scheme exact on EVM by Permit2, for tokens without EIP-3009: client, server, facilitator, types;
 * and what every payment by Permit2 shares.
 */
@NullMarked
package dev.gridtie.x402.evm.permit2;

import org.jspecify.annotations.NullMarked;
