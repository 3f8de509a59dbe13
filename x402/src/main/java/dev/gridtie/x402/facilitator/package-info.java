/** Verifies payments and brings them to the chain; its chain is seen only through PaymentScheme. */
@NullMarked
package dev.gridtie.x402.facilitator;

import org.jspecify.annotations.NullMarked;
