/** A gateway's side of the grid: nodes that have joined, and answers that run on them. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.fleet;
