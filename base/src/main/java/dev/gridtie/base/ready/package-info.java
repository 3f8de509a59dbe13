/** Readiness: named checks of what a paid request needs, run together within a second. */
@NullMarked
package dev.gridtie.base.ready;

import org.jspecify.annotations.NullMarked;
