/** Anthropic messages. */
@NullMarked
package dev.gridtie.wire.anthropic;

import org.jspecify.annotations.NullMarked;
