/** What work is worth. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.pay;
