/** Which node answers: pure, over injected time and randomness, and so simulated as it runs. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.dispatch;
