package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.gateway.gate.CoinClearance;
import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.solana.SolanaChain;
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

  /** What is tested of the chain, of its keys, and of who settles on it. */
  List<Check> checks();

  /** What is tested of a coin and its receiver besides what {@link #facts} asks. */
  List<Check> coinChecks(GatewayConfig.Chain coin, String payTo) throws IOException;

  /**
   * What the chain says of a coin.
   *
   * @throws IOException naming the key of the configuration that is wrong
   */
  CoinClearance.Facts facts(GatewayConfig.Chain coin) throws IOException;

  /** A question to a chain. */
  @FunctionalInterface
  interface Asking {
    Finding ask() throws Exception;
  }

  /** What a chain says, or that it says nothing. */
  static Finding reached(Asking asking) throws Exception {
    try {
      return asking.ask();
    } catch (UnreachableException e) {
      return new Finding.Failed(
          "the chain does not answer",
          String.valueOf(e.getMessage()),
          "see that the node behind chain.rpc runs and can be reached from here");
    } catch (EvmChain.RefusedException | SolanaChain.RefusedException e) {
      return new Finding.Failed(
          "the chain's node refuses to answer",
          String.valueOf(e.getMessage()),
          "see whether the node behind chain.rpc limits how often it is asked, or needs a key");
    }
  }

  /** Whether gas is given to payers for approvals of Permit2. */
  default boolean sponsorsApprovals() {
    return false;
  }

  /**
   * Wires each chain that the coins are on, once; the first coin's settings hold for its chain.
   *
   * @param memory of what strangers have cost the keys
   * @throws IOException naming the key of the configuration that is wrong
   */
  static Map<String, ChainWiring> all(
      List<GatewayConfig.Chain> coins,
      Home home,
      InstantSource clock,
      Function<String, GasWatcher> gas,
      GasMemory memory)
      throws IOException {
    Map<String, ChainWiring> chains = new LinkedHashMap<>();
    for (GatewayConfig.Chain coin : coins) {
      if (!chains.containsKey(coin.network())) {
        chains.put(
            coin.network(),
            coin.network().startsWith("solana:")
                ? new SolanaWiring(coin, home)
                : new EvmWiring(
                    coins.stream().filter(c -> c.network().equals(coin.network())).toList(),
                    home,
                    clock,
                    gas.apply(coin.network()),
                    memory));
      }
    }
    return chains;
  }
}
