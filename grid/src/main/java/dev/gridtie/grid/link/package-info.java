/** What a node and a gateway say to each other: messages, their form and their bounds. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.grid.link;
