package dev.gridtie.app;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.EvmNonces;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.NonceWatch;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.solana.JsonRpcSolana;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.exact.SolanaExactClient;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie call}: asks for any x402 resource, and pays for it. */
@Command(
    name = "call",
    mixinStandardHelpOptions = true,
    description = {
      "Asks for a URL and pays if it wants money by x402, from the home's wallet (see './gridtie wallet') and within limits. The answer goes to"
          + " standard output, what was paid to standard error.",
      "If the answer is lost, the same command again sends the same payment and does not pay twice."
    })
final class CallCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Parameters(paramLabel = "URL", description = "What to ask for.")
  private URI url = URI.create("");

  @Option(
      names = {"-X", "--method"},
      paramLabel = "METHOD",
      description = "Default: GET, or POST with a body.")
  private @Nullable String method;

  @Option(
      names = {"-d", "--data"},
      paramLabel = "BODY",
      description = "The body; @FILE reads it from a file.")
  private @Nullable String data;

  @Option(
      names = {"-H", "--header"},
      paramLabel = "NAME: VALUE",
      description = "May be given several times. A body is JSON unless said otherwise.")
  private List<String> headers = new ArrayList<>();

  @Option(
      names = "--max-usd",
      paramLabel = "USD",
      defaultValue = "0.10",
      description = "Never pay more for this call (default: ${DEFAULT-VALUE}).")
  private String maxUsd = "";

  @Option(
      names = "--max-usd-day",
      paramLabel = "USD",
      defaultValue = "5",
      description =
          "Never pay more in a day, UTC, by this wallet's calls (default: ${DEFAULT-VALUE}).")
  private String maxUsdDay = "";

  @Option(
      names = "--network",
      paramLabel = "CAIP-2",
      description = "Pay on this network only; may be given several times.")
  private List<String> networks = new ArrayList<>();

  @Option(
      names = "--coin",
      paramLabel = "CAIP-2/ADDRESS:DECIMALS",
      description =
          "Also pay in this dollar coin; may be given several times. Without it, only in USDC where Circle issues it.")
  private List<String> coins = new ArrayList<>();

  @Option(
      names = "--pay-to",
      paramLabel = "ADDRESS",
      description = "Pay nobody else; may be given several times.")
  private List<String> payees = new ArrayList<>();

  @Option(
      names = "--scheme",
      paramLabel = "SCHEME",
      description = "Pay by exact, upto or batch-settlement only.")
  private @Nullable String scheme;

  @Option(
      names = "--deposit-usd",
      paramLabel = "USD",
      defaultValue = "0",
      description =
          "Where the server keeps channels, deposit into one as needed, and never hold more in it unspent. A channel that"
              + " was filled before ('./gridtie wallet deposit') is used in any case.")
  private String depositUsd = "";

  @Option(
      names = "--valid-seconds",
      paramLabel = "SECONDS",
      defaultValue = "90",
      description =
          "How long what is signed may be settled at most, whatever the server asks (default: ${DEFAULT-VALUE}).")
  private long validSeconds;

  @Option(
      names = "--rpc",
      paramLabel = "CAIP-2=URL",
      description =
          "The JSON-RPC of an EVM chain that is paid on; may be given several times. With it, what expired unused does not"
              + " count against the day's cap; without it, what is signed counts.")
  private List<String> rpcs = new ArrayList<>();

  @Option(
      names = "--sign-anew",
      description =
          "Sign even where an earlier payment for this very request was not answered and may still be settled: you may pay"
              + " twice.")
  private boolean anew;

  @Option(
      names = "--balance",
      description =
          "First use what the wallet has left with this server of earlier payments, by signing in.")
  private boolean balance;

  @Option(
      names = "--solana-rpc",
      paramLabel = "URL",
      description = "Pay on Solana too, from keys/wallet-solana.key: its JSON-RPC.")
  private @Nullable URI solanaRpc;

  @Option(
      names = "--solana-network",
      paramLabel = "CAIP-2",
      defaultValue = SolanaToken.MAINNET,
      description = "Which Solana that is (default: mainnet).")
  private String solanaNetwork = "";

  @Override
  public Integer call() throws Exception {
    Home where = home.get();
    where.create();
    if (url.getScheme() == null || !url.getScheme().matches("https?") || url.getHost() == null) {
      throw new Main.Failure("URL must begin with http:// or https://, not " + url);
    }
    SpendingCaps caps =
        new SpendingCaps(
            UpFile.pico("--max-usd", maxUsd),
            UpFile.pico("--max-usd-day", maxUsdDay),
            where.path().resolve("wallet-spending.json"),
            InstantSource.system(),
            watch(rpcs));
    Wallet wallet = Wallet.open(where, () -> Wallet.password("The wallet's password"));
    Payer payer =
        new Payer(signers(where, wallet), new Payer.Limits(caps.perRequestMax(), coins(), payees));
    PayingClient client =
        new PayingClient(
            payer, caps, new FilePaymentJournal(where.path().resolve("wallet-payments.json")));
    if (balance) {
      client.withBalanceOf(wallet.evm());
    }
    if (anew) {
      client.signingAnew();
    }
    byte[] body = body();
    String verb = method == null ? body.length == 0 ? "GET" : "POST" : method;
    return switch (client.send(verb, url, headers(body.length > 0), body)) {
      case PayingClient.Result.NotPaid notPaid -> {
        System.err.println("gridtie: not paid: " + notPaid.why().message());
        yield 1;
      }
      case PayingClient.Result.Lost lost -> {
        System.err.println(
            "gridtie: the payment was sent and no answer came: "
                + lost.why()
                + ". The same command again asks with the same payment.");
        yield 1;
      }
      case PayingClient.Result.Answered answered -> print(answered);
    };
  }

  private List<PaymentSigner> signers(Home where, Wallet wallet) throws IOException {
    List<PaymentSigner> signers = new ArrayList<>();
    BigInteger most = UpFile.pico("--deposit-usd", depositUsd);
    List<Coin> known = coins();
    Validity validity = validity(validSeconds);
    signers.add(wallet.channelSigner(where, asked -> Coin.atomic(most, asked, known), validity));
    signers.addAll(wallet.signers(validity));
    if (solanaRpc != null) {
      signers.add(
          new SolanaExactClient(
              where.solanaKey("wallet-solana"),
              solanaNetwork,
              new JsonRpcSolana(solanaRpc, Duration.ofSeconds(20)),
              new SecureRandom()));
    }
    String only = scheme;
    return only == null
        ? signers
        : signers.stream().<PaymentSigner>map(s -> new OnlyScheme(only, s)).toList();
  }

  /** How long what is signed may be settled at most. */
  static Validity validity(long seconds) {
    if (seconds < 10 || seconds > 3600) {
      throw new Main.Failure("--valid-seconds must be from 10 to 3600, not " + seconds);
    }
    return new Validity(InstantSource.system(), Duration.ofSeconds(seconds));
  }

  /**
   * Asks chains whether what was signed has expired unused.
   *
   * @param rpcs each CAIP-2=URL
   */
  static NonceWatch watch(List<String> rpcs) {
    Map<String, EvmChain> chains = new LinkedHashMap<>();
    for (String rpc : rpcs) {
      int equals = rpc.indexOf('=');
      if (!rpc.startsWith("eip155:") || equals < 0) {
        throw new Main.Failure(
            "--rpc must be CAIP-2=URL, such as eip155:8453=https://…, not " + rpc);
      }
      URI node = URI.create(rpc.substring(equals + 1));
      chains.put(rpc.substring(0, equals), new JsonRpcChain(node, Duration.ofSeconds(10)));
    }
    return new EvmNonces(chains);
  }

  /** A signer of one scheme alone. */
  private record OnlyScheme(String scheme, PaymentSigner signer) implements PaymentSigner {
    @Override
    public boolean keepsAccount(PaymentRequirements requirements) {
      return signer.keepsAccount(requirements);
    }

    @Override
    public void answered(PaymentPayload payment, Optional<SettleResponse> response) {
      signer.answered(payment, response);
    }

    @Override
    public void refused(PaymentPayload payment) {
      signer.refused(payment);
    }

    @Override
    public boolean corrected(PaymentPayload payment, List<PaymentRequirements> offered) {
      return signer.corrected(payment, offered);
    }

    @Override
    public Commitment commitment(
        PaymentRequirements requirements, tools.jackson.databind.JsonNode payload)
        throws MalformedPaymentException {
      return signer.commitment(requirements, payload);
    }

    @Override
    public void committed(PaymentPayload payment) {
      signer.committed(payment);
    }

    @Override
    public boolean canSign(PaymentRequirements requirements) {
      return requirements.scheme().equals(scheme) && signer.canSign(requirements);
    }

    @Override
    public tools.jackson.databind.JsonNode sign(int version, PaymentRequirements requirements)
        throws MalformedPaymentException {
      return signer.sign(version, requirements);
    }
  }

  private List<Coin> coins() {
    return coins(coins, networks);
  }

  /**
   * The coins that may be paid in.
   *
   * @param coins further ones, each CAIP-2/ADDRESS:DECIMALS
   * @param networks that alone may be used; none means any
   */
  static List<Coin> coins(List<String> coins, List<String> networks) {
    List<Coin> all = new ArrayList<>();
    for (String coin : coins) {
      var match = java.util.regex.Pattern.compile("([^/]+)/(.+):([0-9]{1,2})").matcher(coin);
      if (!match.matches()) {
        throw new Main.Failure("--coin must be CAIP-2/ADDRESS:DECIMALS, not " + coin);
      }
      all.add(new Coin(match.group(1), match.group(2), Integer.parseInt(match.group(3))));
    }
    all.addAll(Coin.USDC);
    return networks.isEmpty()
        ? all
        : all.stream().filter(c -> networks.contains(c.network())).toList();
  }

  private byte[] body() throws IOException {
    String given = data;
    if (given == null) {
      return new byte[0];
    }
    return given.startsWith("@")
        ? Files.readAllBytes(Path.of(given.substring(1)))
        : given.getBytes(StandardCharsets.UTF_8);
  }

  private Map<String, String> headers(boolean hasBody) {
    Map<String, String> all = new LinkedHashMap<>();
    if (hasBody) {
      all.put("Content-Type", "application/json");
    }
    for (String header : headers) {
      int colon = header.indexOf(':');
      if (colon < 1) {
        throw new Main.Failure("--header must be 'NAME: VALUE', not " + header);
      }
      all.keySet().removeIf(k -> k.equalsIgnoreCase(header.substring(0, colon).strip()));
      all.put(header.substring(0, colon).strip(), header.substring(colon + 1).strip());
    }
    return all;
  }

  private static int print(PayingClient.Result.Answered answered)
      throws IOException, MalformedPaymentException {
    PayingClient.Answer response = answered.response();
    try (InputStream in = response.body()) {
      long unused = in.transferTo(System.out);
    }
    System.out.flush();
    if (answered.paid().signum() > 0) {
      System.err.println("signed for at most " + new PicoUsd(answered.paid()));
    }
    var settled =
        response
            .headers()
            .firstValue(Headers.PAYMENT_RESPONSE)
            .or(() -> response.headers().firstValue(Headers.X_PAYMENT_RESPONSE));
    if (settled.isPresent()) {
      SettleResponse settlement = SettleResponse.fromHeader(settled.get());
      System.err.println(
          settlement.success() && settlement.transaction().isEmpty()
              ? "charged "
                  + settlement.extra().path("chargedAmount").asString("what was used")
                  + " atomic units to the channel on "
                  + settlement.network()
              : settlement.success()
                  ? "settled " + settlement.transaction() + " on " + settlement.network()
                  : "not settled: " + settlement.errorReason());
    }
    if (response.statusCode() / 100 != 2) {
      System.err.println("gridtie: status " + response.statusCode());
      answered.open().ifPresent(why -> System.err.println("gridtie: " + why + "."));
      return 1;
    }
    return 0;
  }
}
