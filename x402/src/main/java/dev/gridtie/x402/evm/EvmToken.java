package dev.gridtie.x402.evm;

/**
 * A coin on an EVM chain.
 *
 * @param network CAIP-2
 * @param address its contract
 * @param decimals its digits behind the point
 * @param name in EIP-712
 * @param version in EIP-712
 */
public record EvmToken(
    String network, EvmAddress address, int decimals, String name, String version) {}
