/**
 * Double entry in a hash-chained log on SQLite: accounts, transfers, holds, and the proof that
 * nothing was rewritten.
 */
@NullMarked
package dev.gridtie.ledger;

import org.jspecify.annotations.NullMarked;
