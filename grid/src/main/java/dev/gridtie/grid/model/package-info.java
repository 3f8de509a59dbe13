/** Models as nodes hold them: what a model's files are, and which of them a machine can run. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.model;
