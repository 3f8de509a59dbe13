/** Who pays: quotes, the payment state machine, its recovery. */
@NullMarked
package dev.gridtie.gateway.gate;

import org.jspecify.annotations.NullMarked;
