package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.gateway.gate.CoinClearance;
import dev.gridtie.gateway.gate.Offers.Channeled;
import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChecks;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.GasGuard;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.batch.BatchFacilitator;
import dev.gridtie.x402.evm.batch.BatchServer;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.exact.ExactFacilitator;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.evm.exact.ExactTypes;
import dev.gridtie.x402.evm.permit2.ApprovalSponsoring;
import dev.gridtie.x402.evm.permit2.Permit2Facilitator;
import dev.gridtie.x402.evm.permit2.Permit2Server;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.evm.upto.UptoFacilitator;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.RemoteFacilitator;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.wire.Networks;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** What pays on one EVM chain: its JSON-RPC, the keys that pay its gas, the schemes. */
final class EvmWiring implements ChainWiring {
  /** How many keys one chain may have. */
  private static final int KEYS_MAX = 32;

  private final GatewayConfig.Chain config;
  private final EvmChain chain;
  private final long chainId;
  private final SenderPool senders;
  private final List<Kind> kinds;
  private final BatchFacilitator batch;
  private final InstantSource clock;

  /** Whether gas is given for approvals of Permit2. */
  private final boolean sponsors;

  /** Whose key alone can settle a ceiling. */
  private final EvmAddress uptoBy;

  /**
   * @param coins of the chain; the first one's settings hold, and further ones share its keys
   * @param gas is told what failed transactions cost
   * @param memory of what strangers have cost the keys
   * @throws IOException naming the key that is wrong
   */
  EvmWiring(
      List<GatewayConfig.Chain> coins,
      Home home,
      InstantSource clock,
      GasWatcher gas,
      GasMemory memory)
      throws IOException {
    GatewayConfig.Chain config = coins.getFirst();
    this.config = config;
    this.clock = clock;
    this.chain =
        new JsonRpcChain(URI.create(config.rpc()), Duration.ofSeconds(config.rpcTimeoutSeconds()));
    this.chainId =
        Networks.evmChainId(config.network())
            .orElseThrow(
                () ->
                    new IOException(
                        "chain.network must be eip155 and a chain id, not " + config.network()));
    List<EvmKey> keys = keys(config.signingKeys(), home);
    this.senders = SenderPool.of(chain, chainId, keys, config.feeCapWei(), clock);
    GasGuard guard = new GasGuard(terms(coins), memory, clock);
    Settler settler =
        new Settler(
            chain, senders, Duration.ofSeconds(config.settleTimeoutSeconds()), gas, guard, clock);
    String network = config.network();
    String elsewhere = config.facilitator();
    JsonNode supported = elsewhere == null ? Json.object() : supported(config, elsewhere);
    this.uptoBy = elsewhere == null ? senders.first() : uptoAddress(supported);
    this.sponsors =
        elsewhere == null
            ? guard.isSponsoring()
            : supported
                .path("extensions")
                .valueStream()
                .anyMatch(e -> ApprovalSponsoring.KEY.equals(e.asString("")));
    this.batch = new BatchFacilitator(chain, settler, keys.getFirst(), clock);
    this.kinds =
        List.of(
            new Kind(
                "exact",
                network,
                p -> !Permit2Types.Payload.isIn(p.payload()),
                (p, r) -> ExactTypes.paymentKey(network, EvmFields.asset(r), p),
                Json.object(),
                settledBy(new ExactFacilitator(chain, settler, clock))),
            new Kind(
                "exact",
                network,
                p -> Permit2Types.Payload.isIn(p.payload()),
                (p, r) -> Permit2Types.paymentKey(network, p),
                Json.object(),
                settledBy(new Permit2Facilitator(chain, settler, clock))),
            new Kind(
                "upto",
                network,
                p -> true,
                (p, r) -> Permit2Types.paymentKey(network, p),
                Json.object().put("facilitatorAddress", uptoBy.toString()),
                settledBy(new UptoFacilitator(chain, settler, clock))),
            new Kind(
                BatchTypes.SCHEME,
                network,
                p -> true,
                (p, r) -> batch.key(network, p),
                Json.object().put("receiverAuthorizer", batch.authorizer().toString()),
                batch));
  }

  /** Our own keys, or somebody else's facilitator while we look on. */
  private PaymentScheme settledBy(EvmFacilitator own) {
    String url = config.facilitator();
    return url == null
        ? own
        : new RemoteFacilitator(
            URI.create(url), own, Duration.ofSeconds(config.settleTimeoutSeconds()));
  }

  private static JsonNode supported(GatewayConfig.Chain config, String url) throws IOException {
    if (!url.matches("https?://.+")) {
      throw new IOException("chain.facilitator must be a URL, not " + url);
    }
    try {
      return RemoteFacilitator.supported(
          URI.create(url), Duration.ofSeconds(config.rpcTimeoutSeconds()));
    } catch (UnreachableException e) {
      throw new IOException("chain.facilitator does not answer: " + e.getMessage());
    }
  }

  /**
   * The key that a facilitator of somebody else's settles ceilings with; our own where it has none.
   */
  private EvmAddress uptoAddress(JsonNode supported) throws IOException {
    for (JsonNode kind : supported.path("kinds")) {
      String address = Json.text(kind.path("extra"), "facilitatorAddress");
      if ("upto".equals(Json.text(kind, "scheme"))
          && config.network().equals(Json.text(kind, "network"))
          && address != null) {
        return address("the facilitator's facilitatorAddress", address);
      }
    }
    return senders.first();
  }

  /** What gas is spent for: in the coins that are configured, for their first one's rules. */
  private static GasGuard.Terms terms(List<GatewayConfig.Chain> coins) throws IOException {
    GatewayConfig.Chain first = coins.getFirst();
    Map<EvmAddress, Integer> decimals = new HashMap<>();
    for (GatewayConfig.Chain coin : coins) {
      decimals.put(address("chain.token", coin.token()), coin.decimals());
    }
    GatewayConfig.SponsorSettings sponsor = first.gasOrUsual().sponsorApprovals();
    return new GasGuard.Terms(
        first.network(),
        first.leastSettlement(),
        Map.copyOf(decimals),
        sponsor == null ? Optional.empty() : Optional.of(sponsor.read()));
  }

  @Override
  public boolean sponsorsApprovals() {
    return sponsors;
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
  public List<Check> checks() {
    String network = config.network();
    List<Check> checks = new ArrayList<>();
    checks.add(
        new Check(
            "chain " + network,
            "that the configured chain answers and goes on",
            () -> ChainWiring.reached(() -> EvmChecks.chain(chain, chainId, clock))));
    checks.add(
        new Check(
            "gas " + network,
            "that the keys that bring payments to the chain can pay its gas",
            () ->
                config.facilitator() != null
                    ? new Finding.NotApplicable("another's facilitator pays")
                    : ChainWiring.reached(
                        () -> EvmChecks.gas(chain, senders.addresses(), senders.feeCap()))));
    if (config.facilitator() != null) {
      checks.add(facilitatorCheck(network, config.facilitator(), config));
    }
    return checks;
  }

  private static Check facilitatorCheck(
      String network, String url, GatewayConfig.Chain chainConfig) {
    return new Check(
        "facilitator " + network,
        "that the configured facilitator answers and settles what is offered",
        () -> {
          JsonNode said;
          try {
            said =
                RemoteFacilitator.supported(
                    URI.create(url), Duration.ofSeconds(chainConfig.rpcTimeoutSeconds()));
          } catch (UnreachableException e) {
            return new Finding.Failed(
                "the facilitator does not answer",
                String.valueOf(e.getMessage()),
                "see chain.facilitator; without it the gateway settles by its own keys");
          }
          for (String scheme : chainConfig.schemes()) {
            String onTheWire = scheme.replace("-permit2", "");
            boolean supported = false;
            for (JsonNode kind : said.path("kinds")) {
              supported |=
                  onTheWire.equals(Json.text(kind, "scheme"))
                      && network.equals(Json.text(kind, "network"));
            }
            if (!supported) {
              return Finding.failed(
                  "the facilitator does not settle " + onTheWire + " on " + network,
                  "leave " + scheme + " out of chain.schemes, or name another facilitator");
            }
          }
          return Finding.ok();
        });
  }

  @Override
  public List<Check> coinChecks(GatewayConfig.Chain coin, String payTo) {
    return List.of();
  }

  @Override
  public CoinClearance.Facts facts(GatewayConfig.Chain coin) throws IOException {
    EvmToken token = token(coin);
    Map<String, EvmAddress> contracts = new LinkedHashMap<>();
    for (String scheme : coin.schemes()) {
      contracts.putAll(contractsOf(scheme));
    }
    boolean signed = coin.schemes().stream().anyMatch(s -> SIGNED.contains(s));
    return () -> EvmChecks.coin(chain, token, contracts, signed);
  }

  /** Schemes whose payers sign for the coin itself, by EIP-3009. */
  private static final Set<String> SIGNED = Set.of("exact", "batch-settlement");

  /** The contracts that a scheme settles by, by what they are for. */
  private static Map<String, EvmAddress> contractsOf(String scheme) {
    return switch (scheme) {
      case "exact-permit2" ->
          Map.of("Permit2", Permit2Types.PERMIT2, "exact's proxy", Permit2Types.EXACT_PROXY);
      case "upto" ->
          Map.of("Permit2", Permit2Types.PERMIT2, "upto's proxy", Permit2Types.UPTO_PROXY);
      case "batch-settlement" ->
          Map.of("channels", BatchTypes.BATCH, "deposits", BatchTypes.ERC3009_COLLECTOR);
      case "batch-settlement-permit2" ->
          Map.of(
              "Permit2",
              Permit2Types.PERMIT2,
              "channels",
              BatchTypes.BATCH,
              "deposits by Permit2",
              BatchTypes.PERMIT2_COLLECTOR);
      default -> Map.of();
    };
  }

  private static EvmToken token(GatewayConfig.Chain coin) throws IOException {
    if (coin.tokenName() == null || coin.tokenVersion() == null) {
      throw new IOException(
          "chain.tokenName and chain.tokenVersion are missing for " + coin.token());
    }
    return new EvmToken(
        coin.network(),
        address("chain.token", coin.token()),
        coin.decimals(),
        coin.tokenName(),
        coin.tokenVersion());
  }

  /** What is sent to these is lost. */
  private static void requireReceiver(EvmAddress payTo, EvmToken token) throws IOException {
    boolean contract =
        List.of(
                token.address(),
                Permit2Types.PERMIT2,
                Permit2Types.EXACT_PROXY,
                Permit2Types.UPTO_PROXY,
                BatchTypes.BATCH)
            .contains(payTo);
    if (contract || payTo.lower().matches("0x0{40}")) {
      throw new IOException(
          "payTo is "
              + payTo
              + (contract ? ", a coin's or a scheme's contract" : "")
              + ": what is paid there is lost; name an address whose key you have");
    }
  }

  @Override
  public List<Offer> offers(GatewayConfig.Chain coin, String receiver) throws IOException {
    EvmAddress payTo = address("payTo", receiver);
    EvmToken token = token(coin);
    requireReceiver(payTo, token);
    String asset = coin.network() + ":" + token.address().lower();
    Till till = new Till(asset, payTo.lower());
    List<Offer> offers = new ArrayList<>();
    for (String scheme : coin.schemes()) {
      if (coin.facilitator() != null && scheme.startsWith("batch-settlement")) {
        throw new IOException(
            "chain.schemes: channels are kept by the gateway's own keys; leave out facilitator or "
                + scheme);
      }
      ChargeScheme charge =
          switch (scheme) {
            case "exact" -> new ExactServer(token, payTo, coin.validSeconds());
            case "exact-permit2" -> new Permit2Server(token, payTo, coin.validSeconds());
            case "batch-settlement" -> batchServer(coin, token, payTo, false);
            case "batch-settlement-permit2" -> batchServer(coin, token, payTo, true);
            case "upto" -> new UptoServer(token, payTo, uptoBy, uptoSeconds(coin.validSeconds()));
            default ->
                throw new IOException(
                    "chain.schemes: there is no scheme "
                        + scheme
                        + "; exact, exact-permit2, upto, batch-settlement and"
                        + " batch-settlement-permit2 are");
          };
      offers.add(
          charge instanceof BatchServer
              ? new Offer(
                  charge,
                  Till.ofChannels(asset, payTo.lower()),
                  Optional.of(new Channeled(batch, till, settings(coin).policy(coin))))
              : new Offer(charge, till).withRules(coin.leastSettlement(), sponsors));
    }
    return offers;
  }

  private BatchServer batchServer(
      GatewayConfig.Chain coin, EvmToken token, EvmAddress payTo, boolean permit2)
      throws IOException {
    return new BatchServer(
        token,
        payTo,
        batch.authorizer(),
        settings(coin).withdrawDelaySeconds(),
        permit2,
        uptoSeconds(coin.validSeconds()),
        settings(coin).leastDeposit(coin));
  }

  private static GatewayConfig.ChannelSettings settings(GatewayConfig.Chain coin) {
    return coin.channels() == null ? GatewayConfig.ChannelSettings.USUAL : coin.channels();
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
