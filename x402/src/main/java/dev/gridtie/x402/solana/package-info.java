/** What every Solana scheme needs: addresses, keys, transactions, JSON-RPC. */
@NullMarked
package dev.gridtie.x402.solana;

import org.jspecify.annotations.NullMarked;
