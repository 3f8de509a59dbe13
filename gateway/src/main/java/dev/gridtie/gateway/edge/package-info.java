/** HTTP: thin handlers over the rest. */
@NullMarked
package dev.gridtie.gateway.edge;

import org.jspecify.annotations.NullMarked;
