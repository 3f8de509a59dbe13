/** The books as other programs read them. */
@NullMarked
package dev.gridtie.ledger.export;

import org.jspecify.annotations.NullMarked;
