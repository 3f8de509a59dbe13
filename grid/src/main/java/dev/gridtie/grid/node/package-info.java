/** A machine that answers for others while its owner does not need it. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.node;
