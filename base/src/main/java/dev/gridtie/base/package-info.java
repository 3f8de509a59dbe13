/**
 * Money, bytes, crypto and JSON: what every module needs and none owns. Knows nothing of the
 * domain.
 */
@NullMarked
package dev.gridtie.base;

import org.jspecify.annotations.NullMarked;
