package dev.gridtie.app;

import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.node.NodeStatus;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie node status}: what a running node does, live. */
@Command(
    name = "status",
    mixinStandardHelpOptions = true,
    description =
        "Shows a running node of this home: its work, earnings and health. Ctrl-C ends it.")
final class NodeStatusCommand implements Callable<Integer> {
  static final String FILE = "node.json";

  /** A file that was not written for so long is of a node that runs no more. */
  private static final long OLD_MS = 5_000;

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(names = "--once", description = "Print it once and end.")
  private boolean once;

  @Override
  public Integer call() throws Exception {
    Path file = home.get().path().resolve(FILE);
    while (true) {
      String page = page(file);
      System.out.print(once ? page : "\u001b[H\u001b[2J" + page);
      System.out.flush();
      if (once) {
        return 0;
      }
      Thread.sleep(Duration.ofSeconds(1));
    }
  }

  private static String page(Path file) throws IOException {
    if (!Files.isReadable(file)) {
      throw new Main.Failure("no node runs in this home; start one with gridtie node --join URL");
    }
    NodeStatus s = YamlFile.read(file, NodeStatus.class);
    boolean old = System.currentTimeMillis() - s.at() > OLD_MS;
    StringBuilder out = new StringBuilder();
    line(out, "node", s.address());
    line(out, "on", s.hardware());
    line(out, "state", (old ? "not running any more; it was " : "") + s.state() + reason(s));
    if (s.state().equals("fetching") && s.fetchBytes() > 0) {
      line(out, "", bar(s.fetchedBytes(), s.fetchBytes()));
    }
    if (!s.model().isEmpty()) {
      line(out, "model", s.model() + " " + s.quantization() + ", " + s.contextTokens() + " tokens");
      line(
          out,
          "speed",
          s.prefillTps() + " tokens of prompt, " + s.decodeTps() + " of answer a second");
      line(out, "slots", bar(s.active(), s.slots()));
    }
    if (!s.sandbox().isEmpty()) {
      line(out, "sandbox", s.sandbox());
    }
    line(
        out,
        "work",
        String.format(
            Locale.ROOT,
            "%d answers, %d tokens, %.1f tokens a second now, machine given back %d times",
            s.answers(),
            s.tokens(),
            s.tokensPerSecond(),
            s.yields()));
    line(
        out,
        "earned",
        Credits.written(BigInteger.valueOf(s.releasedMicro()))
            + " credits released, "
            + Credits.written(BigInteger.valueOf(s.pendingMicro()))
            + " pending until verified");
    if (s.watts() >= 0) {
      line(out, "power", String.format(Locale.ROOT, "%.0f W", s.watts()));
    }
    for (NodeStatus.Gateway g : s.gateways()) {
      line(
          out, "gateway", g.url() + (g.joined() ? " joined" + pool(g) : " not joined: " + g.why()));
    }
    return out.toString();
  }

  private static String pool(NodeStatus.Gateway g) {
    return g.pool().isEmpty() ? ", public pool" : ", pool " + g.pool();
  }

  private static String reason(NodeStatus s) {
    return s.why().isEmpty() ? "" : ": " + s.why();
  }

  private static void line(StringBuilder out, String what, String value) {
    out.append(String.format(Locale.ROOT, "%-8s %s%n", what, value));
  }

  private static String bar(long done, long of) {
    int width = 30;
    int filled = of == 0 ? 0 : (int) Math.min(width, width * done / of);
    return "[" + "#".repeat(filled) + ".".repeat(width - filled) + "] " + done + " of " + of;
  }
}
