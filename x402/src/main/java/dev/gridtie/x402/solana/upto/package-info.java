/** Scheme upto on Solana, as far as it goes without a chain: client, guards, types. */
@NullMarked
package dev.gridtie.x402.solana.upto;

import org.jspecify.annotations.NullMarked;
