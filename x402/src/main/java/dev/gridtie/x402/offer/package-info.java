/** Offers and receipts that a server signs (extension offer-receipt). */
@NullMarked
package dev.gridtie.x402.offer;

import org.jspecify.annotations.NullMarked;
