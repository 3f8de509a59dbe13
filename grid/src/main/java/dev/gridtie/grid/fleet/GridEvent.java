package dev.gridtie.grid.fleet;

/**
 * Something that happened on the grid, for those who look on.
 *
 * @param kind {@code joined}, {@code left}, {@code serving}, {@code status}, {@code answered},
 *     {@code lost}
 * @param node its address
 * @param detail for people to read
 */
public record GridEvent(String kind, String node, String pool, String detail, int tokens) {}
