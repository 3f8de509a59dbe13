/** An answer on its way from an engine to those who wait for it. */
@NullMarked
package dev.gridtie.gateway.relay;

import org.jspecify.annotations.NullMarked;
