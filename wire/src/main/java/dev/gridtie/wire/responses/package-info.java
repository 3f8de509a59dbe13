/** OpenAI responses. */
@NullMarked
package dev.gridtie.wire.responses;

import org.jspecify.annotations.NullMarked;
