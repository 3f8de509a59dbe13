/** Who gives answers: engines of ours, and servers elsewhere in their own dialects. */
@NullMarked
package dev.gridtie.gateway.provider;

import org.jspecify.annotations.NullMarked;
