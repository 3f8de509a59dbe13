/** OpenAI chat completions. */
@NullMarked
package dev.gridtie.wire.openai;

import org.jspecify.annotations.NullMarked;
