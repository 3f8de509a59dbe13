package dev.gridtie.app;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie wallet}: the keys that pay. */
@Command(
    name = "wallet",
    mixinStandardHelpOptions = true,
    description = {
      "Makes, imports and shows the wallet that './gridtie call' pays from, lets Permit2 move its coins, and fills and empties"
          + " its channels.",
      "It is kept in the home: keys/wallet.json, encrypted by a password, or keys/wallet.key with --plain. The password is asked"
          + " for, or taken from GRIDTIE_WALLET_PASSWORD."
    },
    subcommands = {
      WalletCommand.New.class,
      WalletCommand.Import.class,
      WalletCommand.Show.class,
      WalletCommand.ApprovePermit2.class,
      WalletChannels.Deposit.class,
      WalletChannels.Withdraw.class,
      WalletChannels.Show.class
    })
final class WalletCommand {
  private static final Duration MINED_WITHIN = Duration.ofSeconds(120);

  private WalletCommand() {}

  /** Waits until a transaction is mined, and says so. */
  static int await(EvmChain chain, SignedTransaction sent, String done)
      throws UnreachableException, EvmChain.RefusedException, InterruptedException {
    long end = System.nanoTime() + MINED_WITHIN.toNanos();
    while (System.nanoTime() < end) {
      Optional<EvmChain.Receipt> receipt = chain.receipt(sent.hash());
      if (receipt.isPresent()) {
        System.out.println(receipt.get().succeeded() ? done : "The chain refused it.");
        return receipt.get().succeeded() ? 0 : 1;
      }
      Thread.sleep(500);
    }
    System.out.println("It was sent and is not mined yet; run the same again later.");
    return 1;
  }

  private static void keep(Home home, EvmKey key, boolean plain) throws IOException {
    home.create();
    if (Wallet.exists(home)) {
      throw new Main.Failure(
          "there is a wallet in " + home.path() + " already; move its file away first");
    }
    if (plain) {
      home.keep(Wallet.NAME, key);
    } else {
      char[] password = Wallet.password("A password for the wallet");
      if (password.length < 8) {
        throw new Main.Failure("the password must have at least 8 characters");
      }
      if (System.getenv("GRIDTIE_WALLET_PASSWORD") == null
          && !Arrays.equals(password, Wallet.password("The same again"))) {
        throw new Main.Failure("the two passwords differ");
      }
      Keystore.write(Wallet.keystore(home), key, password, new SecureRandom());
    }
    System.out.println("wallet " + key.address());
    System.out.println(
        "Send it some USDC on the network you will pay on. It needs no coin for gas, but for approve-permit2.");
  }

  /** {@code gridtie wallet new}. */
  @Command(name = "new", mixinStandardHelpOptions = true, description = "Makes a fresh key.")
  static final class New implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Option(names = "--plain", description = "Keep it unencrypted, readable by you alone.")
    private boolean plain;

    @Override
    public Integer call() throws IOException {
      keep(home.get(), EvmKey.random(new SecureRandom()), plain);
      return 0;
    }
  }

  /** {@code gridtie wallet import}. */
  @Command(
      name = "import",
      mixinStandardHelpOptions = true,
      description =
          "Takes over a key: 0x and 64 hexadecimal digits in FILE, or a keystore of version 3. Never on the command line.")
  static final class Import implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Option(names = "--plain", description = "Keep it unencrypted, readable by you alone.")
    private boolean plain;

    @Parameters(paramLabel = "FILE", description = "Where the key is; '-' for standard input.")
    private Path file = Path.of("");

    @Override
    public Integer call() throws IOException {
      String text =
          file.toString().equals("-")
              ? new String(System.in.readNBytes(64 * 1024), java.nio.charset.StandardCharsets.UTF_8)
              : Files.readString(file);
      EvmKey key;
      if (text.strip().startsWith("{")) {
        key = Keystore.read(file, Wallet.password("The password of " + file));
      } else {
        try {
          key = EvmKey.of(text.strip());
        } catch (IllegalArgumentException e) {
          throw new Main.Failure(String.valueOf(e.getMessage()));
        }
      }
      keep(home.get(), key, plain);
      return 0;
    }
  }

  /** Options that say which coin on which chain. */
  static final class CoinOptions {
    @Option(
        names = "--network",
        paramLabel = "CAIP-2",
        defaultValue = "eip155:8453",
        description = "Such as eip155:8453 (Base, the default) or eip155:84532 (Base Sepolia).")
    private String network = "";

    @Option(
        names = "--rpc",
        paramLabel = "URL",
        required = true,
        description = "The chain's JSON-RPC.")
    private URI rpc = URI.create("");

    @Option(names = "--asset", paramLabel = "ADDRESS", description = "Default: USDC there.")
    private @Nullable String asset;

    @Option(
        names = "--decimals",
        paramLabel = "N",
        defaultValue = "6",
        description = "Of the coin (default: ${DEFAULT-VALUE}).")
    private int decimals;

    Coin coin() {
      Optional<Coin> usdc = Coin.USDC.stream().filter(c -> c.network().equals(network)).findFirst();
      if (asset == null) {
        return usdc.orElseThrow(
            () -> new Main.Failure("no USDC is known on " + network + "; name a coin by --asset"));
      }
      return new Coin(network, asset, decimals);
    }

    EvmChain chain() throws IOException {
      EvmChain chain = new JsonRpcChain(rpc, Duration.ofSeconds(20));
      try {
        if (!network.equals("eip155:" + chain.chainId())) {
          throw new Main.Failure(
              rpc + " is of eip155:" + chain.chainId() + ", and " + network + " was asked for");
        }
        return chain;
      } catch (UnreachableException | EvmChain.RefusedException e) {
        throw new IOException(rpc + " does not answer: " + e.getMessage());
      }
    }
  }

  private static BigInteger read(EvmChain chain, Coin coin, byte[] call, EvmAddress asking)
      throws UnreachableException, EvmChain.RefusedException {
    return Abi.uint(chain.call(asking, EvmAddress.of(coin.asset()), call));
  }

  private static byte[] allowance(EvmAddress owner) {
    return Abi.call("allowance(address,address)", Abi.word(owner), Abi.word(Permit2Types.PERMIT2));
  }

  /** {@code gridtie wallet show}. */
  @Command(
      name = "show",
      mixinStandardHelpOptions = true,
      description =
          "Shows the wallet's address, and with --rpc what it holds and what Permit2 may move.")
  static final class Show implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @picocli.CommandLine.ArgGroup(exclusive = false)
    private @Nullable CoinOptions coin;

    @Override
    public Integer call() throws IOException {
      EvmAddress address = Wallet.address(home.get());
      System.out.println("wallet     " + address);
      CoinOptions options = coin;
      if (options == null) {
        return 0;
      }
      EvmChain chain = options.chain();
      Coin in = options.coin();
      try {
        BigInteger holds =
            read(chain, in, Abi.call("balanceOf(address)", Abi.word(address)), address);
        BigInteger allowed = read(chain, in, allowance(address), address);
        System.out.println("coin       " + in.asset() + " on " + in.network());
        System.out.println("holds      " + PicoUsd.ofAtomic(holds, in.decimals()));
        System.out.println(
            "Permit2    "
                + (allowed.signum() == 0
                    ? "may move none of it: ./gridtie wallet approve-permit2"
                    : "may move it"));
        System.out.println("for gas    " + chain.balance(address) + " wei");
        return 0;
      } catch (UnreachableException | EvmChain.RefusedException e) {
        throw new IOException("the chain does not answer: " + e.getMessage());
      }
    }
  }

  /** {@code gridtie wallet approve-permit2}. */
  @Command(
      name = "approve-permit2",
      mixinStandardHelpOptions = true,
      description = {
        "Lets Permit2 move the wallet's coins by signatures of yours, once for ever: schemes upto and exact-permit2 need it.",
        "It is a transaction, and needs a little of the chain's own coin."
      })
  static final class ApprovePermit2 implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @picocli.CommandLine.ArgGroup(exclusive = false, multiplicity = "1")
    private CoinOptions coin = new CoinOptions();

    @Option(
        names = "--fee-cap-gwei",
        paramLabel = "GWEI",
        defaultValue = "500",
        description = "Never pay more for a unit of gas (default: ${DEFAULT-VALUE}).")
    private long feeCapGwei;

    @Override
    public Integer call() throws Exception {
      EvmChain chain = coin.chain();
      Coin in = coin.coin();
      EvmKey key = Wallet.open(home.get(), () -> Wallet.password("The wallet's password")).evm();
      try {
        if (read(chain, in, allowance(key.address()), key.address()).bitLength() > 128) {
          System.out.println("Permit2 may move " + in.asset() + " already.");
          return 0;
        }
        Sender sender =
            new Sender(
                chain,
                chain.chainId(),
                key,
                BigInteger.valueOf(feeCapGwei).multiply(BigInteger.TEN.pow(9)),
                InstantSource.system());
        byte[] approve =
            Abi.call(
                "approve(address,uint256)",
                Abi.word(Permit2Types.PERMIT2),
                Abi.word(BigInteger.ONE.shiftLeft(256).subtract(BigInteger.ONE)));
        SignedTransaction sent =
            sender.send(
                EvmAddress.of(in.asset()),
                approve,
                signed -> System.out.println("transaction " + signed.hash()));
        return await(chain, sent, "Permit2 may move it now.");
      } catch (UnreachableException | EvmChain.RefusedException | Sender.FeeCapException e) {
        throw new Main.Failure("not approved: " + e.getMessage());
      }
    }
  }
}
