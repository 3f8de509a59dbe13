package dev.gridtie.app;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Numbers;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.batch.BatchSigner;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.batch.BatchWithdrawal;
import dev.gridtie.x402.evm.batch.ChannelBook;
import dev.gridtie.x402.evm.batch.ChannelState;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/** What a wallet does with payment channels. */
final class WalletChannels {
  private static final Duration RPC_PATIENCE = Duration.ofSeconds(20);

  private WalletChannels() {}

  /** Where a gateway looks after channels, unless the URL says otherwise. */
  private static URI channelUrl(URI url) {
    if (url.getScheme() == null || !url.getScheme().matches("https?") || url.getHost() == null) {
      throw new Main.Failure("URL must begin with http:// or https://, not " + url);
    }
    String path = url.getPath();
    return path == null || path.isEmpty() || path.equals("/") ? url.resolve("/v1/channel") : url;
  }

  /** Signs something of its own choice for a channel, and leaves the account to another. */
  private record Choice(BatchSigner account, Wanted what) implements PaymentSigner {

    /** What is signed for requirements. */
    interface Wanted {
      BatchTypes.Payload of(PaymentRequirements asked) throws MalformedPaymentException;
    }

    @Override
    public boolean canSign(PaymentRequirements asked) {
      return keepsAccount(asked);
    }

    @Override
    public boolean keepsAccount(PaymentRequirements asked) {
      return account.keepsAccount(asked);
    }

    @Override
    public JsonNode sign(int version, PaymentRequirements asked) throws MalformedPaymentException {
      return what.of(asked).toJson();
    }

    @Override
    public Commitment commitment(PaymentRequirements asked, JsonNode payload)
        throws MalformedPaymentException {
      return account.commitment(asked, payload);
    }

    @Override
    public void committed(PaymentPayload payment) {
      account.committed(payment);
    }

    @Override
    public void answered(PaymentPayload payment, Optional<SettleResponse> response) {
      account.answered(payment, response);
    }

    @Override
    public boolean corrected(PaymentPayload payment, List<PaymentRequirements> offered) {
      return account.corrected(payment, offered);
    }
  }

  /** Options of commands that ask a server. */
  static final class ServerOptions {
    @Parameters(
        paramLabel = "URL",
        description = "The gateway, such as https://api.example.com, or any page paid by channels.")
    private URI url = URI.create("");

    @Option(
        names = "--coin",
        paramLabel = "CAIP-2/ADDRESS:DECIMALS",
        description = "In this dollar coin; without it, in USDC where Circle issues it.")
    private List<String> coins = new ArrayList<>();

    @Option(
        names = "--network",
        paramLabel = "CAIP-2",
        description = "On this network only; may be given several times.")
    private List<String> networks = new ArrayList<>();

    private List<Coin> coins() {
      return CallCommand.coins(coins, networks);
    }

    /**
     * Sends what is signed, and prints how the channel stands then. What the wallet's owner puts
     * into a channel by a command of its own has a sum of its own: the caps of calls do not count
     * it.
     *
     * @param purpose tells these payments from others to the same page
     * @param most that may be put in, pico-dollars
     */
    private int send(
        Home where,
        Wallet wallet,
        String purpose,
        BigInteger most,
        Function<BatchSigner, Choice.Wanted> what,
        String lost)
        throws IOException, InterruptedException, MalformedPaymentException {
      BatchSigner account =
          wallet.channelSigner(
              where, asked -> BigInteger.ZERO, Validity.usual(InstantSource.system()));
      SpendingCaps caps =
          new SpendingCaps(
              most,
              BigInteger.TWO.pow(200),
              where.path().resolve("wallet-deposits.json"),
              InstantSource.system());
      PayingClient client =
          new PayingClient(
                  new Payer(
                      List.of(new Choice(account, what.apply(account))),
                      new Payer.Limits(caps.perRequestMax(), coins(), List.of())),
                  caps,
                  new FilePaymentJournal(where.path().resolve("wallet-payments.json")))
              .withPurpose(purpose);
      return switch (client.send("GET", channelUrl(url), Map.of(), new byte[0])) {
        case PayingClient.Result.NotPaid notPaid -> {
          System.err.println("gridtie: " + notPaid.why().message());
          yield 1;
        }
        case PayingClient.Result.Lost gone -> {
          System.err.println("gridtie: no answer came: " + gone.why() + ". " + lost);
          yield 1;
        }
        case PayingClient.Result.Answered answered -> print(answered.response(), coins());
      };
    }

    private static int print(PayingClient.Answer response, List<Coin> coins)
        throws IOException, MalformedPaymentException {
      String body;
      try (InputStream in = response.body()) {
        body = new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
      }
      Optional<String> header = response.headers().firstValue(Headers.PAYMENT_RESPONSE);
      if (response.statusCode() / 100 != 2 || header.isEmpty()) {
        System.err.println("gridtie: status " + response.statusCode() + ": " + body);
        return 1;
      }
      SettleResponse settled = SettleResponse.fromHeader(header.get());
      JsonNode state = settled.extra().path("channelState");
      int decimals =
          coins.stream()
              .filter(c -> c.network().equals(settled.network()))
              .findFirst()
              .map(Coin::decimals)
              .orElse(6);
      System.out.println("channel     " + state.path("channelId").asString(""));
      System.out.println("in it       " + usd(state.path("balance").asString("0"), decimals));
      System.out.println(
          "spent       " + usd(state.path("chargedCumulativeAmount").asString("0"), decimals));
      if (!settled.transaction().isEmpty()) {
        System.out.println("transaction " + settled.transaction());
      }
      return 0;
    }
  }

  private static PicoUsd usd(String atomic, int decimals) {
    return PicoUsd.ofAtomic(Numbers.uint256(atomic), decimals);
  }

  /** {@code gridtie wallet deposit}. */
  @Command(
      name = "deposit",
      mixinStandardHelpOptions = true,
      description = {
        "Puts money into a channel to a gateway; './gridtie call' pays from it then, by signatures alone, and is charged what"
            + " it used. The gateway pays the gas. What is not spent comes back by './gridtie wallet withdraw'.",
        "If the answer is lost, the same command again does not deposit twice."
      })
  static final class Deposit implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();
    @Mixin private ServerOptions server = new ServerOptions();

    @Option(names = "--usd", required = true, paramLabel = "USD", description = "How much.")
    private String usd = "";

    @Override
    public Integer call() throws Exception {
      Home where = home.get();
      where.create();
      Wallet wallet = Wallet.open(where, () -> Wallet.password("The wallet's password"));
      BigInteger pico = UpFile.pico("--usd", usd);
      List<Coin> coins = server.coins();
      return server.send(
          where,
          wallet,
          "deposit " + usd,
          pico,
          account -> asked -> account.deposit(asked, Coin.atomic(pico, asked, coins)),
          "The same command again does not deposit twice.");
    }
  }

  /** {@code gridtie wallet withdraw}. */
  @Command(
      name = "withdraw",
      mixinStandardHelpOptions = true,
      description = {
        "Takes what is not spent out of a channel: with the gateway's help, at once and without gas; or, with --rpc, without"
            + " it: the first call announces it on the chain, the same again after the channel's delay ends it. That needs a"
            + " little of the chain's own coin."
      })
  static final class Withdraw implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(
        arity = "0..1",
        paramLabel = "URL",
        description = "The gateway that helps; left out with --rpc.")
    private @Nullable URI url;

    @Option(
        names = "--coin",
        paramLabel = "CAIP-2/ADDRESS:DECIMALS",
        description = "In this dollar coin; without it, in USDC where Circle issues it.")
    private List<String> coins = new ArrayList<>();

    @Option(
        names = "--rpc",
        paramLabel = "URL",
        description = "The chain's JSON-RPC: withdraw without a gateway.")
    private @Nullable URI rpc;

    @Option(
        names = "--channel",
        paramLabel = "ID",
        description = "Which, as './gridtie wallet channels' shows it.")
    private @Nullable String channel;

    @Option(
        names = "--fee-cap-gwei",
        paramLabel = "GWEI",
        defaultValue = "500",
        description = "Never pay more for a unit of gas (default: ${DEFAULT-VALUE}).")
    private long feeCapGwei;

    @Override
    public Integer call() throws Exception {
      Home where = home.get();
      Wallet wallet = Wallet.open(where, () -> Wallet.password("The wallet's password"));
      URI gateway = url;
      if (gateway != null) {
        ServerOptions server = new ServerOptions();
        server.url = gateway;
        server.coins = coins;
        return server.send(
            where,
            wallet,
            "withdraw",
            UpFile.pico("", "1"),
            account -> account::refund,
            "The same command again asks once more.");
      }
      if (rpc == null || channel == null) {
        throw new Main.Failure("name the gateway's URL, or --rpc and --channel");
      }
      return alone(where, wallet, rpc, channel);
    }

    private int alone(Home where, Wallet wallet, URI node, String id)
        throws IOException, InterruptedException {
      ChannelBook book = Wallet.channels(where);
      byte[] channelId;
      try {
        channelId = Hex.decode(id, 32);
      } catch (IllegalArgumentException e) {
        throw new Main.Failure("--channel must be 0x and 64 hexadecimal digits");
      }
      ChannelBook.Line line =
          book.find(channelId)
              .orElseThrow(() -> new Main.Failure("this wallet knows no channel " + id));
      EvmChain chain = new JsonRpcChain(node, RPC_PATIENCE);
      try {
        long chainId = chain.chainId();
        if (!Networks.evmChainId(line.network()).equals(Optional.of(chainId))) {
          throw new Main.Failure(node + " is of eip155:" + chainId + ", not " + line.network());
        }
        ChannelState state = ChannelState.of(chain, wallet.evm().address(), channelId);
        if (state.left().signum() == 0) {
          System.out.println("There is nothing left in this channel.");
          return 0;
        }
        long now = chain.latestBlock().timestamp();
        long ready = state.withdrawRequestedAt() + line.config().withdrawDelay();
        boolean begun = state.withdrawRequestedAt() > 0;
        if (begun && now < ready) {
          System.out.println(
              "It was announced; run this again after " + Instant.ofEpochSecond(ready) + ".");
          return 0;
        }
        Sender sender =
            new Sender(
                chain,
                chainId,
                wallet.evm(),
                BigInteger.valueOf(feeCapGwei).multiply(BigInteger.TEN.pow(9)),
                InstantSource.system());
        SignedTransaction sent =
            sender.send(
                BatchTypes.BATCH,
                begun
                    ? BatchWithdrawal.finish(line.config())
                    : BatchWithdrawal.begin(line.config(), state.left()),
                signed -> System.out.println("transaction " + signed.hash()));
        int mined =
            WalletCommand.await(
                chain,
                sent,
                begun
                    ? "It is back in the wallet."
                    : "Announced. Run the same again in "
                        + Duration.ofSeconds(line.config().withdrawDelay())
                        + " to have it; until then the gateway may claim what it is owed.");
        if (mined == 0 && begun) {
          ChannelState after = ChannelState.of(chain, wallet.evm().address(), channelId);
          book.put(
              channelId,
              new ChannelBook.Line(
                  line.network(),
                  line.config(),
                  after.balance(),
                  after.totalClaimed(),
                  line.signed()));
        }
        return mined;
      } catch (UnreachableException | EvmChain.RefusedException | Sender.FeeCapException e) {
        throw new Main.Failure("not withdrawn: " + e.getMessage());
      }
    }
  }

  /** {@code gridtie wallet channels}. */
  @Command(
      name = "channels",
      mixinStandardHelpOptions = true,
      description = "Shows the wallet's channels: what is in each, and what of it is spent.")
  static final class Show implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() throws IOException {
      List<ChannelBook.Line> all = Wallet.channels(home.get()).all();
      if (all.isEmpty()) {
        System.out.println("No channels. './gridtie wallet deposit URL --usd 1' opens one.");
        return 0;
      }
      for (ChannelBook.Line line : all) {
        long chainId = Networks.evmChainId(line.network()).orElseThrow();
        System.out.println("channel " + Hex.encode(line.config().id(chainId)));
        System.out.println("  on    " + line.network() + ", in " + line.config().token());
        System.out.println("  to    " + line.config().receiver());
        System.out.println("  in it " + line.balance() + " atomic units");
        System.out.println("  spent " + line.charged() + " atomic units");
      }
      return 0;
    }
  }
}
