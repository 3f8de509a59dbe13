/** The paying side: picks what to pay within limits, and signs. */
@NullMarked
package dev.gridtie.x402.client;

import org.jspecify.annotations.NullMarked;
