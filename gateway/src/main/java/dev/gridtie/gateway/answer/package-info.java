/** An answer on its way: from whoever gives it, piece by piece, to those who wait for it. */
@NullMarked
package dev.gridtie.gateway.answer;

import org.jspecify.annotations.NullMarked;
