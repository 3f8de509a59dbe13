package dev.gridtie.app;

import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.facilitator.GasWatcher;
import java.io.IOException;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** What pays on one chain: its JSON-RPC, the keys that pay its fees, the schemes. */
interface ChainWiring {
  List<Kind> kinds();

  /**
   * The ways to pay in one of the chain's coins.
   *
   * @throws IOException naming the key of the configuration that is wrong
   */
  List<Offer> offers(GatewayConfig.Chain coin, String payTo) throws IOException;

  /** The addresses of the keys that pay its fees. */
  List<String> signers();

  /** All chains of its kind, as CAIP-2 with a star. */
  String family();

  /** Whether the chain that answers is the one that was configured. */
  boolean isWell();

  /**
   * Wires each chain that the coins are on, once; the first coin's settings hold for its chain.
   *
   * @throws IOException naming the key of the configuration that is wrong
   */
  static Map<String, ChainWiring> all(
      List<GatewayConfig.Chain> coins,
      Home home,
      InstantSource clock,
      Function<String, GasWatcher> gas)
      throws IOException {
    Map<String, ChainWiring> chains = new LinkedHashMap<>();
    for (GatewayConfig.Chain coin : coins) {
      if (!chains.containsKey(coin.network())) {
        chains.put(
            coin.network(),
            coin.network().startsWith("solana:")
                ? new SolanaWiring(coin, home)
                : new EvmWiring(coin, home, clock, gas.apply(coin.network())));
      }
    }
    return chains;
  }
}
