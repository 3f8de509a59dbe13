/** What is charged, and how it stands in the ledger. */
@NullMarked
package dev.gridtie.gateway.till;

import org.jspecify.annotations.NullMarked;
