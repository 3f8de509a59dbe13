/** Answers that are given again to whoever asks the very same. */
@NullMarked
package dev.gridtie.gateway.cache;

import org.jspecify.annotations.NullMarked;
