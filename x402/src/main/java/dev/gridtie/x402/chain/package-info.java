/** How a chain is asked, whichever it is. */
@NullMarked
package dev.gridtie.x402.chain;

import org.jspecify.annotations.NullMarked;
