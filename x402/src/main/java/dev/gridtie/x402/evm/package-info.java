/** What every EVM scheme needs: keys, EIP-712, JSON-RPC, transactions. */
@NullMarked
package dev.gridtie.x402.evm;

import org.jspecify.annotations.NullMarked;
