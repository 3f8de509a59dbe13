/** Signed records of requests. */
@NullMarked
package dev.gridtie.gateway.receipts;

import org.jspecify.annotations.NullMarked;
