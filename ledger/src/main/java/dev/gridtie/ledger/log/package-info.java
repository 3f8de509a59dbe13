/** The ledger as a public log: Merkle tree, tiles, checkpoints, proofs. */
@NullMarked
package dev.gridtie.ledger.log;

import org.jspecify.annotations.NullMarked;
