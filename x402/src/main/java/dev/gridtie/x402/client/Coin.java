package dev.gridtie.x402.client;

import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.util.List;

/**
 * A dollar coin that a client may pay in.
 *
 * @param network CAIP-2
 * @param asset its contract, or its mint
 * @param decimals its digits behind the point
 */
public record Coin(String network, String asset, int decimals) {
  /** USDC where Circle issues it: what a client pays in unless told otherwise. */
  public static final List<Coin> USDC =
      List.of(
          new Coin("eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 6),
          new Coin("eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", 6),
          new Coin("eip155:1", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", 6),
          new Coin("eip155:42161", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", 6),
          new Coin("eip155:421614", "0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d", 6),
          new Coin("eip155:137", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", 6),
          new Coin("eip155:43114", "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", 6),
          new Coin("eip155:42220", "0xcebA9300f2b948710d2653dD7B07f33A8B32118C", 6),
          new Coin("eip155:1329", "0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392", 6),
          new Coin("eip155:143", "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", 6),
          new Coin(
              "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
              "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
              6),
          new Coin(
              "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
              "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU",
              6));

  private static final int PICO_DECIMALS = 12;

  /**
   * What an amount comes to in the coin that requirements ask for; zero where it is none of these.
   *
   * @param pico millionths of a millionth of a dollar
   */
  public static BigInteger atomic(BigInteger pico, PaymentRequirements asked, List<Coin> coins) {
    return coins.stream()
        .filter(c -> c.is(asked.network(), asked.asset()))
        .findFirst()
        .map(
            c ->
                c.decimals() >= PICO_DECIMALS
                    ? pico.multiply(BigInteger.TEN.pow(c.decimals() - PICO_DECIMALS))
                    : pico.divide(BigInteger.TEN.pow(PICO_DECIMALS - c.decimals())))
        .orElse(BigInteger.ZERO);
  }

  boolean is(String otherNetwork, String otherAsset) {
    return network.equals(otherNetwork) && asset.equalsIgnoreCase(otherAsset);
  }
}
