/** Open-loop load at a fixed rate, and what it measures. */
@NullMarked
package dev.gridtie.bench;

import org.jspecify.annotations.NullMarked;
