/** The charging side: what a 402 says, and whether a payment answers it. */
@NullMarked
package dev.gridtie.x402.server;

import org.jspecify.annotations.NullMarked;
