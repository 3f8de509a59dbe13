/** Runs a plan: attempts, retries, hedges, up to the first byte; from then on, one source. */
@NullMarked
package dev.gridtie.gateway.relay;

import org.jspecify.annotations.NullMarked;
