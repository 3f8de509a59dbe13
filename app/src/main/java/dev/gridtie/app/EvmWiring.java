package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.exact.ExactFacilitator;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.evm.exact.ExactTypes;
import dev.gridtie.x402.evm.permit2.Permit2Facilitator;
import dev.gridtie.x402.evm.permit2.Permit2Server;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.evm.upto.UptoFacilitator;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.wire.Networks;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;

/** What pays on one EVM chain: its JSON-RPC, the keys that pay its gas, the schemes. */
final class EvmWiring implements ChainWiring {
  /** How many keys one chain may have. */
  private static final int KEYS_MAX = 32;

  private final GatewayConfig.Chain config;
  private final EvmChain chain;
  private final long chainId;
  private final SenderPool senders;
  private final List<Kind> kinds;

  /**
   * @param config of the chain's first coin; further coins on it share its keys
   * @throws IOException naming the key that is wrong
   */
  EvmWiring(GatewayConfig.Chain config, Home home, InstantSource clock) throws IOException {
    this.config = config;
    this.chain =
        new JsonRpcChain(URI.create(config.rpc()), Duration.ofSeconds(config.rpcTimeoutSeconds()));
    this.chainId =
        Networks.evmChainId(config.network())
            .orElseThrow(
                () ->
                    new IOException(
                        "chain.network must be eip155 and a chain id, not " + config.network()));
    this.senders =
        SenderPool.of(chain, chainId, keys(config.signingKeys(), home), config.feeCapWei(), clock);
    Settler settler =
        new Settler(chain, senders, Duration.ofSeconds(config.settleTimeoutSeconds()));
    String network = config.network();
    this.kinds =
        List.of(
            new Kind(
                "exact",
                network,
                p -> !Permit2Types.Payload.isIn(p.payload()),
                (p, r) -> ExactTypes.paymentKey(network, EvmFields.asset(r), p),
                Json.object(),
                new ExactFacilitator(chain, settler, clock)),
            new Kind(
                "exact",
                network,
                p -> Permit2Types.Payload.isIn(p.payload()),
                (p, r) -> Permit2Types.paymentKey(network, p),
                Json.object(),
                new Permit2Facilitator(chain, settler, clock)),
            new Kind(
                "upto",
                network,
                p -> true,
                (p, r) -> Permit2Types.paymentKey(network, p),
                Json.object().put("facilitatorAddress", senders.first().toString()),
                new UptoFacilitator(chain, settler, clock)));
  }

  private static List<EvmKey> keys(int count, Home home) throws IOException {
    if (count < 1 || count > KEYS_MAX) {
      throw new IOException("chain.signingKeys must be from 1 to " + KEYS_MAX);
    }
    List<EvmKey> keys = new ArrayList<>();
    for (int i = 1; i <= count; i++) {
      keys.add(home.evmKey(i == 1 ? "facilitator" : "facilitator-" + i));
    }
    return keys;
  }

  @Override
  public List<String> signers() {
    return senders.addresses().stream().map(EvmAddress::toString).toList();
  }

  @Override
  public String family() {
    return "eip155:*";
  }

  @Override
  public List<Kind> kinds() {
    return kinds;
  }

  @Override
  public boolean isWell() {
    try {
      return chain.chainId() == chainId;
    } catch (UnreachableException | EvmChain.RefusedException e) {
      return false;
    }
  }

  @Override
  public List<Offer> offers(GatewayConfig.Chain coin, String receiver) throws IOException {
    EvmAddress payTo = address("payTo", receiver);
    if (coin.tokenName() == null || coin.tokenVersion() == null) {
      throw new IOException(
          "chain.tokenName and chain.tokenVersion are missing for " + coin.token());
    }
    EvmToken token =
        new EvmToken(
            coin.network(),
            address("chain.token", coin.token()),
            coin.decimals(),
            coin.tokenName(),
            coin.tokenVersion());
    Till till = new Till(coin.network() + ":" + token.address().lower(), payTo.lower());
    List<Offer> offers = new ArrayList<>();
    for (String scheme : coin.schemes()) {
      ChargeScheme charge =
          switch (scheme) {
            case "exact" -> new ExactServer(token, payTo, coin.validSeconds());
            case "exact-permit2" -> new Permit2Server(token, payTo, coin.validSeconds());
            case "upto" ->
                new UptoServer(token, payTo, senders.first(), uptoSeconds(coin.validSeconds()));
            default ->
                throw new IOException(
                    "chain.schemes: there is no scheme "
                        + scheme
                        + "; exact, exact-permit2 and upto are");
          };
      offers.add(new Offer(charge, till));
    }
    return offers;
  }

  /** A ceiling must outlive the answer it pays for. */
  private static long uptoSeconds(long validSeconds) {
    return Math.max(validSeconds, 300);
  }

  static EvmAddress address(String key, String value) throws IOException {
    try {
      return EvmAddress.of(value);
    } catch (IllegalArgumentException e) {
      throw new IOException(key + " must be an address: 0x and 40 hexadecimal digits");
    }
  }
}
