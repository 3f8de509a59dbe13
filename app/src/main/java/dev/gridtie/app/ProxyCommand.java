package dev.gridtie.app;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.edge.Origins;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.SpendingCaps;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie proxy}: a local endpoint that pays for clients that know nothing of x402. */
@Command(
    name = "proxy",
    mixinStandardHelpOptions = true,
    description = {
      "A local endpoint that pays, from the buyer's wallet, for any client that knows nothing of x402: point its base URL"
          + " here and give it the token that this prints as its API key.",
      "It refuses what would exceed a cap, with status 402, and pays nothing then."
    })
final class ProxyCommand implements Callable<Integer> {
  private static final FileAttribute<Set<PosixFilePermission>> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private static final Pattern TOKEN = Pattern.compile("gtp-[0-9a-f]{64}");

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "4022",
      description = "On 127.0.0.1; 0 takes a free one (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--max-usd",
      paramLabel = "USD",
      defaultValue = "0.10",
      description = "The most that is paid for one request (default: ${DEFAULT-VALUE}).")
  private String maxUsd = "";

  @Option(
      names = "--max-usd-day",
      paramLabel = "USD",
      defaultValue = "1",
      description =
          "The most that is paid on one day, UTC, restarts included (default: ${DEFAULT-VALUE}).")
  private String maxUsdDay = "";

  @Option(
      names = "--valid-seconds",
      paramLabel = "SECONDS",
      defaultValue = "90",
      description =
          "How long what is signed may be settled at most, whatever the server asks (default: ${DEFAULT-VALUE}).")
  private long validSeconds;

  @Option(
      names = "--origin",
      paramLabel = "ORIGIN",
      description =
          "Web pages of this origin, such as http://localhost:5173, may use the proxy; may be given several times. Without it,"
              + " requests of browsers are refused.")
  private List<String> origins = new ArrayList<>();

  @Option(
      names = "--no-token",
      description =
          "Take requests without the token: every program and every user of this machine can spend, up to the caps.")
  private boolean noToken;

  @Override
  public Integer call() throws Exception {
    UpFile up = UpFile.read(home.get());
    SpendingCaps caps =
        new SpendingCaps(
            UpFile.pico("--max-usd", maxUsd),
            UpFile.pico("--max-usd-day", maxUsdDay),
            home.get().path().resolve("proxy-spending.json"),
            InstantSource.system(),
            up.watch());
    Path file = home.get().path().resolve("proxy.token");
    Optional<Secret> token = noToken ? Optional.empty() : Optional.of(token(file));
    PayingProxy proxy =
        PayingProxy.start(
            port,
            up.gateway(),
            up.payingClient(
                caps,
                new FilePaymentJournal(home.get().path().resolve("payments.json")),
                CallCommand.validity(validSeconds)),
            token,
            allowed(),
            PayingProxy.Limits.USUAL);
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  proxy.close();
                  stopped.countDown();
                }));
    System.out.println(
        token.isEmpty()
            ? "without a token: every program of this machine can spend"
            : "token " + token.get().reveal() + " (in " + file + "): your client's API key");
    System.out.println("ready http://127.0.0.1:" + proxy.port() + "/v1");
    System.out.println(
        "pays at most $"
            + maxUsd
            + " for a request and $"
            + maxUsdDay
            + " on a day, from "
            + up.buyer());
    System.out.flush();
    stopped.await();
    return 0;
  }

  private Origins allowed() {
    if (origins.contains("*")) {
      throw new Main.Failure("--origin must name an origin: with *, any web page could spend");
    }
    try {
      return new Origins(origins);
    } catch (IllegalArgumentException e) {
      throw new Main.Failure("--origin: " + e.getMessage());
    }
  }

  /** The token of a home, made where it is missing: only its owner can read it. */
  static Secret token(Path file) throws IOException {
    if (!Files.exists(file)) {
      byte[] fresh = new byte[32];
      new SecureRandom().nextBytes(fresh);
      Path next = Files.createTempFile(file.getParent(), "proxy", ".token", OWNER_ONLY);
      Files.writeString(next, "gtp-" + Hex.encode(fresh).substring(2) + "\n");
      Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    }
    String token = Files.readString(file).strip();
    if (!TOKEN.matcher(token).matches()) {
      throw new IOException(file + " holds no token; remove it, and the next start makes one");
    }
    return new Secret(token);
  }
}
