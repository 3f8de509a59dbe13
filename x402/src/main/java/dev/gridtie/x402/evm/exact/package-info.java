/** Scheme exact on EVM by EIP-3009: client, server, facilitator, types. */
@NullMarked
package dev.gridtie.x402.evm.exact;

import org.jspecify.annotations.NullMarked;
