/** x402's messages and headers, versions 2 and 1 (x402 v2 §5, v1 §5). */
@NullMarked
package dev.gridtie.x402.wire;

import org.jspecify.annotations.NullMarked;
