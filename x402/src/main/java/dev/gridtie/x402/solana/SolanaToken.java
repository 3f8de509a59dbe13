package dev.gridtie.x402.solana;

/**
 * A coin on Solana.
 *
 * @param network CAIP-2
 * @param mint the coin's address
 * @param program that moves it: Token or Token-2022
 * @param decimals its digits behind the point
 */
public record SolanaToken(String network, SolanaAddress mint, SolanaAddress program, int decimals) {

  public static final String MAINNET = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
  public static final String DEVNET = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
}
