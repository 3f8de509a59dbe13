package dev.gridtie.app;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.http.Bounds;
import dev.gridtie.gateway.cache.CachePolicy;
import dev.gridtie.gateway.edge.Origins;
import dev.gridtie.gateway.gate.ClaimPolicy;
import dev.gridtie.gateway.gate.Exposure;
import dev.gridtie.gateway.receipts.Witnesses;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Sandbox;
import dev.gridtie.ledger.log.SignedNote;
import dev.gridtie.x402.evm.GasGuard;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.solana.SolanaToken;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A gateway's configuration, as its YAML file has it. Names end in their unit; a key that is not
 * known, or a required one that is missing, stops the start.
 *
 * @param host to listen on
 * @param port to listen on; 0 takes a free one
 * @param publicUrl under which clients reach it; empty for the address it listens on
 * @param payTo the address that receives payments
 * @param models that engines on this machine run, and free ones behind a server that needs no key
 * @param catalog the file that names hosted models, beside this one; read again when it changes
 * @param cache whether answers are kept for those who ask the very same
 * @param traces where spans are sent, by OTLP over HTTP: {@code http://…/v1/traces}
 * @param tracePrompts whether spans hold what was asked and answered, clipped; off unless asked for
 * @param chains further chains or coins that payments may come by; the 402 offers them in this
 *     order, after {@code chain}
 * @param exposure what payers may owe until their answers are settled, where a scheme settles after
 *     the answer
 * @param origins whose web pages may call it from a reader's browser, such as {@code
 *     https://example.com}; {@code *} for all; none where left out
 * @param credits what a credit is worth, where keys may pay with them
 * @param log who cosigns the public log, and whose logs are cosigned
 * @param grid which models contributed machines may answer for; none join where left out
 * @param hosts further names that requests may give as their Host, where it listens on loopback: a
 *     proxy in front may pass on its own
 * @param admin where the operator's pages are served, HOST:PORT or off; the next port of this
 *     machine where left out
 * @param adminToken what requests for them must bring; needed where others can reach them
 * @param engineSandbox {@code required}, {@code auto} or {@code off}; auto where left out
 * @param engineStepSeconds how long an engine may make no step while it has work, or not answer,
 *     before it is ended and started again; 0 for the default
 * @param hedgePercent of requests that a second endpoint may be asked for as well
 */
record GatewayConfig(
    @Nullable String host,
    @JsonProperty(required = true) int port,
    @Nullable String publicUrl,
    @JsonProperty(required = true) String payTo,
    @JsonProperty(required = true) Chain chain,
    @JsonProperty(required = true) List<Model> models,
    @Nullable String catalog,
    int hedgePercent,
    @Nullable Cache cache,
    @Nullable String traces,
    boolean tracePrompts,
    @Nullable Limits limits,
    @Nullable List<Chain> chains,
    @Nullable ExposureLimits exposure,
    @Nullable List<String> origins,
    @Nullable LogSettings log,
    @Nullable CreditSettings credits,
    @Nullable GridSettings grid,
    @Nullable List<String> hosts,
    @Nullable String admin,
    CatalogConfig.@Nullable Key adminToken,
    @Nullable String engineSandbox,
    int engineStepSeconds) {

  GatewayConfig(
      @Nullable String host,
      int port,
      @Nullable String publicUrl,
      String payTo,
      Chain chain,
      List<Model> models,
      @Nullable String catalog,
      int hedgePercent,
      @Nullable Cache cache,
      @Nullable String traces,
      boolean tracePrompts,
      @Nullable Limits limits) {
    this(
        host,
        port,
        publicUrl,
        payTo,
        chain,
        models,
        catalog,
        hedgePercent,
        cache,
        traces,
        tracePrompts,
        limits,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        0);
  }

  /** The same with other ways to pay. */
  GatewayConfig withChains(Chain newChain, List<Chain> newChains, @Nullable ExposureLimits owed) {
    return with(newChain, newChains, owed, origins, log, credits, grid);
  }

  /** The same, callable from these origins' web pages. */
  GatewayConfig withOrigins(List<String> newOrigins) {
    return with(chain, chains, exposure, newOrigins, log, credits, grid);
  }

  /** The same, with others who watch its log, or whose logs it watches. */
  GatewayConfig withLog(LogSettings newLog) {
    return with(chain, chains, exposure, origins, newLog, credits, grid);
  }

  /** The same with contributed machines. */
  GatewayConfig withGrid(GridSettings newGrid) {
    return with(chain, chains, exposure, origins, log, credits, newGrid);
  }

  /** The same with the operator's pages elsewhere. */
  GatewayConfig withAdmin(String newAdmin) {
    return new GatewayConfig(
        host,
        port,
        publicUrl,
        payTo,
        chain,
        models,
        catalog,
        hedgePercent,
        cache,
        traces,
        tracePrompts,
        limits,
        chains,
        exposure,
        origins,
        log,
        credits,
        grid,
        hosts,
        newAdmin,
        adminToken,
        engineSandbox,
        engineStepSeconds);
  }

  private GatewayConfig with(
      Chain newChain,
      @Nullable List<Chain> newChains,
      @Nullable ExposureLimits newExposure,
      @Nullable List<String> newOrigins,
      @Nullable LogSettings newLog,
      @Nullable CreditSettings newCredits,
      @Nullable GridSettings newGrid) {
    return new GatewayConfig(
        host,
        port,
        publicUrl,
        payTo,
        newChain,
        models,
        catalog,
        hedgePercent,
        cache,
        traces,
        tracePrompts,
        limits,
        newChains,
        newExposure,
        newOrigins,
        newLog,
        newCredits,
        newGrid,
        hosts,
        admin,
        adminToken,
        engineSandbox,
        engineStepSeconds);
  }

  /**
   * Contributed machines.
   *
   * @param invitedOnly whether only nodes with an invitation into a pool may join, and the node of
   *     this home; so unless it is said to be false
   * @param builds of engines that may answer, besides this gateway's own
   * @param usdPerKwh what electricity costs contributors here, for the bonus of machines that earn
   *     less than they burn; no bonus where left out, or where credits have no price
   * @param models that nodes are asked to serve, the most wanted first
   */
  record GridSettings(
      @Nullable Boolean invitedOnly,
      @Nullable List<String> builds,
      @Nullable String usdPerKwh,
      @JsonProperty(required = true) List<GridModel> models) {
    GridSettings(
        @Nullable Boolean invitedOnly, @Nullable String usdPerKwh, List<GridModel> models) {
      this(invitedOnly, null, usdPerKwh, models);
    }

    boolean openToAll() {
      return Boolean.FALSE.equals(invitedOnly);
    }
  }

  /**
   * A model that nodes are asked to serve.
   *
   * @param id what clients call it
   * @param files its GGUFs by quantisation, beside the configuration or absolute: given to nodes
   *     from here
   * @param manifest instead, where no file is here: what gridtie model manifest has printed
   * @param pool whose nodes alone may know of it
   * @param contextTokens that an answer must have room for, prompt included
   * @param minQuantization the coarsest that nodes may serve
   */
  record GridModel(
      @JsonProperty(required = true) String id,
      @Nullable Map<String, String> files,
      @Nullable String manifest,
      @Nullable String pool,
      @JsonProperty(required = true) int contextTokens,
      @Nullable String minQuantization,
      @JsonProperty(required = true) String promptUsdPerMillion,
      @JsonProperty(required = true) String completionUsdPerMillion,
      int defaultMaxTokens) {
    GridModel {
      defaultMaxTokens = defaultMaxTokens == 0 ? 256 : defaultMaxTokens;
    }
  }

  /**
   * Credits.
   *
   * @param usdPerCredit what one is worth here, dollars of at most 6 decimals
   */
  record CreditSettings(@JsonProperty(required = true) String usdPerCredit) {}

  /** What a credit is worth; empty where none are taken. */
  Optional<Credits.Rate> creditRate() throws IOException {
    if (credits == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(Credits.Rate.ofDollars(credits.usdPerCredit()));
    } catch (IllegalArgumentException e) {
      throw new IOException(
          "credits.usdPerCredit must be dollars of at most 6 decimals, more than 0, not "
              + credits.usdPerCredit());
    }
  }

  /**
   * Who watches whom.
   *
   * @param witnesses who cosign this gateway's log
   * @param witnessFor keys of the logs that this gateway cosigns, as {@code /log/key} says them
   */
  record LogSettings(@Nullable List<WitnessAt> witnesses, @Nullable List<String> witnessFor) {}

  /**
   * A witness.
   *
   * @param url under which it takes {@code add-checkpoint}
   * @param key as {@code /log/witness/key} says it
   */
  record WitnessAt(
      @JsonProperty(required = true) String url, @JsonProperty(required = true) String key) {}

  Witnesses witnesses() throws IOException {
    List<Witnesses.One> all = new ArrayList<>();
    if (log != null && log.witnesses() != null) {
      for (WitnessAt one : log.witnesses()) {
        all.add(
            new Witnesses.One(
                address(one.url()), key("log.witnesses", one.key(), SignedNote.Kind.COSIGNATURE)));
      }
    }
    return new Witnesses(all);
  }

  private static URI address(String url) throws IOException {
    try {
      URI address = new URI(url);
      if (address.getHost() != null && String.valueOf(address.getScheme()).matches("https?")) {
        return address;
      }
    } catch (URISyntaxException e) {
      // Said below.
    }
    throw new IOException(
        "log.witnesses: " + url + " is no address; another gateway's is https://…/log/witness");
  }

  /** The logs that this gateway cosigns. */
  List<SignedNote.Verifier> watchedLogs() throws IOException {
    List<SignedNote.Verifier> all = new ArrayList<>();
    if (log != null && log.witnessFor() != null) {
      for (String one : log.witnessFor()) {
        all.add(key("log.witnessFor", one, SignedNote.Kind.SIGNATURE));
      }
    }
    return all;
  }

  private static SignedNote.Verifier key(String what, String written, SignedNote.Kind kind)
      throws IOException {
    try {
      SignedNote.Verifier key = SignedNote.Verifier.of(written);
      if (key.kind() == kind) {
        return key;
      }
    } catch (IllegalArgumentException e) {
      // Said below.
    }
    throw new IOException(
        what
            + ": "
            + written
            + " is no key of this kind; take what "
            + (kind == SignedNote.Kind.COSIGNATURE ? "/log/witness/key" : "/log/key")
            + " of the other gateway says");
  }

  /** Who is paid in a coin. */
  String receiver(Chain coin) {
    String own = coin.payTo();
    return own == null ? payTo : own;
  }

  /** All chains and coins, the first first. */
  List<Chain> allChains() {
    List<Chain> all = new ArrayList<>();
    all.add(chain);
    if (chains != null) {
      all.addAll(chains);
    }
    return all;
  }

  /**
   * What may be owed, in dollars.
   *
   * @param newPayerUsd by somebody who has never paid
   * @param payerUsd by anybody
   * @param totalUsd by all together
   * @param lostPerDayUsd after so much that was not paid within a day nothing is given first; what
   *     new payers may owe shrinks on the way there
   */
  record ExposureLimits(
      @Nullable String newPayerUsd,
      @Nullable String payerUsd,
      @Nullable String totalUsd,
      @Nullable String lostPerDayUsd) {
    ExposureLimits(String newPayerUsd, String payerUsd, String totalUsd) {
      this(newPayerUsd, payerUsd, totalUsd, null);
    }
  }

  Exposure.Caps exposureCaps() throws IOException {
    Exposure.Caps usual = Exposure.Caps.DEFAULT;
    return exposure == null
        ? usual
        : new Exposure.Caps(
            usd("exposure.newPayerUsd", exposure.newPayerUsd(), usual.newPayer()),
            usd("exposure.payerUsd", exposure.payerUsd(), usual.payer()),
            usd("exposure.totalUsd", exposure.totalUsd(), usual.total()),
            positive(
                "exposure.lostPerDayUsd",
                usd("exposure.lostPerDayUsd", exposure.lostPerDayUsd(), usual.lostPerDay())));
  }

  private static PicoUsd positive(String key, PicoUsd value) throws IOException {
    if (value.isZero()) {
      throw new IOException(key + " must be above 0; leave scheme upto out to give nothing first");
    }
    return value;
  }

  Origins allowedOrigins() throws IOException {
    try {
      return origins == null ? Origins.NONE : new Origins(origins);
    } catch (IllegalArgumentException e) {
      throw new IOException("origins: " + e.getMessage());
    }
  }

  private static PicoUsd usd(String key, @Nullable String value, PicoUsd usual) throws IOException {
    try {
      return value == null ? usual : PicoUsd.ofDollars(value);
    } catch (IllegalArgumentException e) {
      throw new IOException(key + " must be dollars, such as 0.10, not " + value);
    }
  }

  /**
   * Where payments settle.
   *
   * @param rpc the chain's JSON-RPC
   * @param network CAIP-2, {@code eip155:…} or {@code solana:…}
   * @param token the coin's contract, or its mint
   * @param tokenName its EIP-712 name; Solana has none
   * @param tokenVersion its EIP-712 version; Solana has none
   * @param decimals its own
   * @param feeCapGwei the most that is paid for a unit of gas
   * @param rpcTimeoutSeconds for one call
   * @param settleTimeoutSeconds how long a client waits for its payment to be mined
   * @param validSeconds how long a payment must be valid
   * @param schemes how payments in this coin are taken, in the order they are offered: {@code
   *     exact} (the coin must speak EIP-3009), {@code exact-permit2}, {@code upto}, {@code
   *     batch-settlement} (EIP-3009), {@code batch-settlement-permit2}; {@code exact} where left
   *     out
   * @param payTo who receives there, where that is not the gateway's {@code payTo}; Solana's
   *     addresses are others
   * @param tokenProgram on Solana, of the coin: Token where left out
   * @param facilitator the URL of somebody else's facilitator, that verifies and settles instead of
   *     this gateway's own keys; {@code rpc} is for looking on
   * @param channels how deposits are taken, for the batch-settlement schemes
   * @param signingKeys how many keys bring transactions to this chain, each with its own queue
   * @param gas what the keys' gas is spent for
   */
  record Chain(
      @JsonProperty(required = true) String rpc,
      @JsonProperty(required = true) String network,
      @JsonProperty(required = true) String token,
      @Nullable String tokenName,
      @Nullable String tokenVersion,
      @JsonProperty(required = true) int decimals,
      long feeCapGwei,
      long rpcTimeoutSeconds,
      long settleTimeoutSeconds,
      long validSeconds,
      List<String> schemes,
      int signingKeys,
      @Nullable String payTo,
      @Nullable String tokenProgram,
      @Nullable ChannelSettings channels,
      @Nullable String facilitator,
      @Nullable GasSettings gas) {

    Chain(
        String rpc,
        String network,
        String token,
        @Nullable String tokenName,
        @Nullable String tokenVersion,
        int decimals,
        long feeCapGwei,
        long rpcTimeoutSeconds,
        long settleTimeoutSeconds,
        long validSeconds,
        List<String> schemes,
        int signingKeys,
        @Nullable String payTo,
        @Nullable String tokenProgram,
        @Nullable ChannelSettings channels,
        @Nullable String facilitator) {
      this(
          rpc,
          network,
          token,
          tokenName,
          tokenVersion,
          decimals,
          feeCapGwei,
          rpcTimeoutSeconds,
          settleTimeoutSeconds,
          validSeconds,
          schemes,
          signingKeys,
          payTo,
          tokenProgram,
          channels,
          facilitator,
          null);
    }

    Chain(
        String rpc,
        String network,
        String token,
        String tokenName,
        String tokenVersion,
        int decimals,
        long feeCapGwei,
        long rpcTimeoutSeconds,
        long settleTimeoutSeconds,
        long validSeconds) {
      this(
          rpc,
          network,
          token,
          tokenName,
          tokenVersion,
          decimals,
          feeCapGwei,
          rpcTimeoutSeconds,
          settleTimeoutSeconds,
          validSeconds,
          List.of(),
          1,
          null,
          null,
          null,
          null);
    }

    /** The same with other schemes. */
    Chain withSchemes(List<String> newSchemes) {
      return with(newSchemes, channels, facilitator, gas);
    }

    /** The same with other settings of its channels. */
    Chain withChannels(ChannelSettings newChannels) {
      return with(schemes, newChannels, facilitator, gas);
    }

    /** The same, settled by somebody else. */
    Chain withFacilitator(String url) {
      return with(schemes, channels, url, gas);
    }

    /** The same with other rules for its gas. */
    Chain withGas(GasSettings newGas) {
      return with(schemes, channels, facilitator, newGas);
    }

    private Chain with(
        List<String> newSchemes,
        @Nullable ChannelSettings newChannels,
        @Nullable String newUrl,
        @Nullable GasSettings newGas) {
      return new Chain(
          rpc,
          network,
          token,
          tokenName,
          tokenVersion,
          decimals,
          feeCapGwei,
          rpcTimeoutSeconds,
          settleTimeoutSeconds,
          validSeconds,
          newSchemes,
          signingKeys,
          payTo,
          tokenProgram,
          newChannels,
          newUrl,
          newGas);
    }

    Chain {
      schemes = schemes == null || schemes.isEmpty() ? List.of("exact") : List.copyOf(schemes);
      signingKeys = signingKeys == 0 ? 1 : signingKeys;
      feeCapGwei = feeCapGwei == 0 ? 500 : feeCapGwei;
      rpcTimeoutSeconds = rpcTimeoutSeconds == 0 ? 10 : rpcTimeoutSeconds;
      settleTimeoutSeconds = settleTimeoutSeconds == 0 ? 30 : settleTimeoutSeconds;
      validSeconds = validSeconds == 0 ? 60 : validSeconds;
    }

    BigInteger feeCapWei() {
      return BigInteger.valueOf(feeCapGwei).multiply(BigInteger.valueOf(1_000_000_000));
    }

    GasSettings gasOrUsual() {
      return gas == null ? GasSettings.USUAL : gas;
    }

    /** The least that is settled by a transaction of its own; nothing on chains for tests. */
    PicoUsd leastSettlement() throws IOException {
      return usd(
          "chain.gas.minSettleUsd",
          gasOrUsual().minSettleUsd(),
          TEST_NETWORKS.contains(network) ? PicoUsd.ZERO : PicoUsd.ofDollars("0.01"));
    }
  }

  /** Chains whose coins are worth nothing. */
  private static final Set<String> TEST_NETWORKS =
      Set.of(
          "eip155:84532",
          "eip155:11155111",
          "eip155:97",
          "eip155:31337",
          "eip155:1337",
          SolanaToken.DEVNET);

  /**
   * What gas is spent for.
   *
   * @param minSettleUsd the least that is settled by a transaction of its own, dollars: 0.01 where
   *     left out, and nothing on chains for tests; prices below it are asked at it, and what is
   *     left over stays the payer's balance
   * @param sponsorApprovals how gas is given to payers for an approval of Permit2
   *     (erc20ApprovalGasSponsoring); none is where left out
   */
  record GasSettings(@Nullable String minSettleUsd, @Nullable SponsorSettings sponsorApprovals) {
    static final GasSettings USUAL = new GasSettings(null, null);
  }

  /**
   * How much gas is given away.
   *
   * @param nativeUsd what one of the chain's own coin is worth, dollars
   * @param sharePercent of a payment's worth that may be given for it: 50 where left out
   * @param perDayUsd to all payers in a day: 1 where left out
   * @param totalUsd ever, by this home's keys: 20 where left out
   */
  record SponsorSettings(
      @JsonProperty(required = true) String nativeUsd,
      int sharePercent,
      @Nullable String perDayUsd,
      @Nullable String totalUsd) {
    SponsorSettings {
      sharePercent = sharePercent == 0 ? 50 : sharePercent;
    }

    /**
     * As the facilitator has it.
     *
     * @throws IOException naming the key that is wrong
     */
    GasGuard.Sponsoring read() throws IOException {
      PicoUsd nativeCoin = usd("chain.gas.sponsorApprovals.nativeUsd", nativeUsd, PicoUsd.ZERO);
      if (nativeCoin.isZero() || sharePercent < 1 || sharePercent > 100) {
        throw new IOException(
            "chain.gas.sponsorApprovals: nativeUsd must be above 0, and sharePercent from 1 to"
                + " 100");
      }
      return new GasGuard.Sponsoring(
          nativeCoin,
          sharePercent,
          usd("chain.gas.sponsorApprovals.perDayUsd", perDayUsd, PicoUsd.ofDollars("1")),
          usd("chain.gas.sponsorApprovals.totalUsd", totalUsd, PicoUsd.ofDollars("20")));
    }
  }

  /**
   * How payers' channels are kept.
   *
   * @param withdrawDelaySeconds how long a payer waits for its own way out, 900 to 2592000: a day
   *     where left out
   * @param claimUsd claim once all channels of a coin owe so much together: 1 where left out
   * @param claimMinutes claim once the oldest charge is so old: an hour where left out
   * @param claimGasGwei while a unit of gas costs more, wait; until twice as old. The chain's
   *     {@code feeCapGwei} where left out
   * @param checkSeconds how often it is decided: 30 where left out
   * @param minDepositUsd the least that is brought into a channel at once: 1 where left out, and
   *     what ten requests come to on chains for tests
   */
  record ChannelSettings(
      long withdrawDelaySeconds,
      @Nullable String claimUsd,
      long claimMinutes,
      long claimGasGwei,
      long checkSeconds,
      @Nullable String minDepositUsd) {

    ChannelSettings(
        long withdrawDelaySeconds,
        @Nullable String claimUsd,
        long claimMinutes,
        long claimGasGwei,
        long checkSeconds) {
      this(withdrawDelaySeconds, claimUsd, claimMinutes, claimGasGwei, checkSeconds, null);
    }

    /** The least deposit, in the coin's atomic units. */
    BigInteger leastDeposit(Chain coin) throws IOException {
      PicoUsd usual =
          TEST_NETWORKS.contains(coin.network()) ? PicoUsd.ZERO : PicoUsd.ofDollars("1");
      return usd("chain.channels.minDepositUsd", minDepositUsd, usual)
          .toAtomicRoundedUp(coin.decimals());
    }

    static final ChannelSettings USUAL = new ChannelSettings(0, null, 0, 0, 0);

    ChannelSettings {
      withdrawDelaySeconds = withdrawDelaySeconds == 0 ? 86_400 : withdrawDelaySeconds;
      claimMinutes = claimMinutes == 0 ? 60 : claimMinutes;
      checkSeconds = checkSeconds == 0 ? 30 : checkSeconds;
    }

    /**
     * As the gateway has it.
     *
     * @throws IOException naming the key that is wrong
     */
    ClaimPolicy policy(Chain chain) throws IOException {
      if (withdrawDelaySeconds < BatchTypes.DELAY_MIN
          || withdrawDelaySeconds > BatchTypes.DELAY_MAX) {
        throw new IOException(
            "chain.channels.withdrawDelaySeconds must be from "
                + BatchTypes.DELAY_MIN
                + " to "
                + BatchTypes.DELAY_MAX);
      }
      if (checkSeconds * 10 > withdrawDelaySeconds) {
        throw new IOException(
            "chain.channels.checkSeconds must be at most a tenth of withdrawDelaySeconds, or a"
                + " payer could leave unnoticed");
      }
      return new ClaimPolicy(
          usd("chain.channels.claimUsd", claimUsd, PicoUsd.ofDollars("1")),
          Duration.ofMinutes(claimMinutes),
          claimGasGwei == 0
              ? chain.feeCapWei()
              : BigInteger.valueOf(claimGasGwei).multiply(BigInteger.valueOf(1_000_000_000)),
          Duration.ofSeconds(withdrawDelaySeconds),
          Duration.ofSeconds(checkSeconds));
    }
  }

  /**
   * A model that is offered.
   *
   * @param id what clients call it
   * @param file its GGUF, for an engine on this machine
   * @param upstream the base URL of an OpenAI-compatible server that answers instead; then it must
   *     cost nothing
   * @param promptUsdPerMillion price of a million tokens sent, in dollars
   * @param completionUsdPerMillion price of a million tokens received, in dollars
   * @param contextTokens of one request
   * @param defaultMaxTokens of an answer whose request names no limit
   * @param slots how many requests are answered in one batch
   * @param threads for computing; left out, one fewer than there are processors: llama.cpp's
   *     threads wait for each other by spinning, and crawl where something else needs a processor
   *     too
   */
  record Model(
      @JsonProperty(required = true) String id,
      @Nullable String file,
      @Nullable String upstream,
      @JsonProperty(required = true) String quantization,
      @JsonProperty(required = true) String promptUsdPerMillion,
      @JsonProperty(required = true) String completionUsdPerMillion,
      @JsonProperty(required = true) int contextTokens,
      int defaultMaxTokens,
      int slots,
      int threads) {

    Model {
      defaultMaxTokens = defaultMaxTokens == 0 ? 256 : defaultMaxTokens;
      slots = slots == 0 ? 8 : slots;
      threads =
          threads == 0 ? Math.max(1, Runtime.getRuntime().availableProcessors() - 1) : threads;
    }
  }

  /**
   * What clients may take. Left out, a number has its default.
   *
   * @param bodyBytes of a request
   * @param bodySeconds from a request's headers to its last byte
   * @param concurrent requests served at once
   * @param answersKeptHours how long a paid answer can be fetched again
   * @param connections at once, nodes apart
   * @param connectionsPerAddress of them from one address
   * @param sharedAddresses to which no bound per address applies, such as a reverse proxy's; this
   *     machine's own where left out
   * @param headSeconds from the beginning of a connection to the end of its first request's head
   * @param idleSeconds a connection may wait for its next request
   * @param bodies that may be coming in at once
   * @param bodiesPerAddress of them from one address
   * @param bodyBytesPerSecond the slowest that a body may come
   * @param answerSeconds until an answer's first byte; one that is not streamed has no byte before
   *     its end
   */
  record Limits(
      int bodyBytes,
      int bodySeconds,
      int concurrent,
      int answersKeptHours,
      int connections,
      int connectionsPerAddress,
      @Nullable List<String> sharedAddresses,
      int headSeconds,
      int idleSeconds,
      int bodies,
      int bodiesPerAddress,
      int bodyBytesPerSecond,
      int answerSeconds) {
    private static final Bounds USUAL = Bounds.of(1024 * 1024);

    Limits {
      bodyBytes = or(bodyBytes, USUAL.bodyBytes());
      bodySeconds = or(bodySeconds, (int) USUAL.bodyPatience().toSeconds());
      concurrent = or(concurrent, 256);
      answersKeptHours = or(answersKeptHours, 24);
      connections = or(connections, USUAL.connections());
      connectionsPerAddress = or(connectionsPerAddress, USUAL.connectionsPerAddress());
      sharedAddresses =
          sharedAddresses == null
              ? List.copyOf(USUAL.sharedAddresses())
              : List.copyOf(sharedAddresses);
      headSeconds = or(headSeconds, (int) USUAL.headPatience().toSeconds());
      idleSeconds = or(idleSeconds, (int) USUAL.idle().toSeconds());
      bodies = or(bodies, USUAL.bodies());
      bodiesPerAddress = or(bodiesPerAddress, USUAL.bodiesPerAddress());
      bodyBytesPerSecond = or(bodyBytesPerSecond, USUAL.bodyBytesPerSecond());
      answerSeconds = or(answerSeconds, 600);
    }

    Limits(int bodyBytes, int bodySeconds, int concurrent, int answersKeptHours) {
      this(bodyBytes, bodySeconds, concurrent, answersKeptHours, 0, 0, null, 0, 0, 0, 0, 0, 0);
    }

    private static int or(int value, int usual) {
      return value == 0 ? usual : value;
    }

    Bounds bounds() {
      return new Bounds(
          connections,
          connectionsPerAddress,
          sharedAddresses == null ? Set.of() : Set.copyOf(sharedAddresses),
          Duration.ofSeconds(headSeconds),
          Duration.ofSeconds(idleSeconds),
          bodies,
          bodiesPerAddress,
          bodyBytes,
          USUAL.bodyBytesTotal(),
          Duration.ofSeconds(bodySeconds),
          bodyBytesPerSecond);
    }
  }

  /**
   * Answers that are given again.
   *
   * @param seconds how long; 0 keeps none
   * @param megabytes of all answers together
   * @param pricePercent of the price that a hit costs
   * @param shared whether one account's answers are given to another
   */
  record Cache(int seconds, int megabytes, int pricePercent, boolean shared) {
    Cache {
      megabytes = megabytes == 0 ? 64 : megabytes;
    }
  }

  CachePolicy cachePolicy() {
    return cache == null
        ? CachePolicy.OFF
        : new CachePolicy(
            Duration.ofSeconds(cache.seconds()),
            cache.megabytes() * 1024L * 1024,
            cache.pricePercent(),
            cache.shared());
  }

  /** The names that requests may give as their Host besides the usual ones. */
  List<String> allowedHosts() throws IOException {
    for (String one : hosts == null ? List.<String>of() : hosts) {
      if (!one.matches("[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\\[[0-9A-Fa-f:.]{2,45}]")) {
        throw new IOException("hosts: a name without scheme and port, not " + one);
      }
    }
    return hosts == null ? List.of() : hosts;
  }

  Sandbox.Mode sandboxMode() {
    return engineSandbox == null ? Sandbox.Mode.AUTO : Sandbox.Mode.of(engineSandbox);
  }

  Duration enginePatience() {
    return engineStepSeconds == 0 ? Engine.PATIENCE : Duration.ofSeconds(engineStepSeconds);
  }

  String hostOrLoopback() {
    return host == null ? "127.0.0.1" : host;
  }

  Limits limitsOrDefault() {
    return limits == null ? new Limits(0, 0, 0, 0) : limits;
  }

  /**
   * Reads a configuration file.
   *
   * @throws IOException naming the line and the key that is wrong
   */
  static GatewayConfig read(Path file) throws IOException {
    return YamlFile.read(file, GatewayConfig.class);
  }
}
