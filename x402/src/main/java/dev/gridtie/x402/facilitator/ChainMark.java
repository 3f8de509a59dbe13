package dev.gridtie.x402.facilitator;

/**
 * How a chain stood: the block at a height. Where another stands there later, the chain has taken
 * blocks back (a reorganisation), and what they held may be gone.
 */
public record ChainMark(long height, String hash) {}
