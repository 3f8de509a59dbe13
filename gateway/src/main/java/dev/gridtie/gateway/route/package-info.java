/** Where a request goes: which endpoints may answer it, and in which order. */
@NullMarked
package dev.gridtie.gateway.route;

import org.jspecify.annotations.NullMarked;
