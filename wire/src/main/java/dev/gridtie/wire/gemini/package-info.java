/** Gemini generateContent. */
@NullMarked
package dev.gridtie.wire.gemini;

import org.jspecify.annotations.NullMarked;
