/** Scheme exact on Solana: client, server, facilitator, types. */
@NullMarked
package dev.gridtie.x402.solana.exact;

import org.jspecify.annotations.NullMarked;
