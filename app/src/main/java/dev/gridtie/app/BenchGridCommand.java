package dev.gridtie.app;

import dev.gridtie.app.TrialLoad.Outcome;
import dev.gridtie.gateway.nodes.WorkAudit;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.ledger.log.CheckpointWatcher;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code gridtie bench grid}: nodes in trouble, and what becomes of answers. */
@Command(
    name = "grid",
    mixinStandardHelpOptions = true,
    description = {
      "Starts a gateway and nodes, each a real engine with the bundled model, and asks many questions at once while nodes are"
          + " killed, frozen, cut off and slowed at random. Every answer is compared with what was answered without trouble.",
      "As root, each node has a network of its own with delay, loss and bounded bandwidth. Prints a table in Markdown."
    })
final class BenchGridCommand implements Callable<Integer> {
  @Option(
      names = "--nodes",
      paramLabel = "N",
      defaultValue = "10",
      description = "Default: ${DEFAULT-VALUE}.")
  private int nodes;

  @Option(
      names = "--slots",
      paramLabel = "N",
      defaultValue = "8",
      description = "Of each node. Default: ${DEFAULT-VALUE}.")
  private int slots;

  @Option(
      names = "--streams",
      paramLabel = "N",
      defaultValue = "50",
      description = "At once. Default: ${DEFAULT-VALUE}.")
  private int streams;

  @Option(
      names = "--distinct",
      paramLabel = "N",
      defaultValue = "200",
      description = "Requests. Default: ${DEFAULT-VALUE}.")
  private int distinct;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "150",
      description = "Default: ${DEFAULT-VALUE}.")
  private int maxTokens;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "600",
      description = "Of trouble. Default: ${DEFAULT-VALUE}.")
  private int seconds;

  @Option(
      names = "--calm-seconds",
      paramLabel = "S",
      defaultValue = "60",
      description = "Without trouble, and without the grid. Default: ${DEFAULT-VALUE}.")
  private int calm;

  @Option(
      names = "--network",
      paramLabel = "WORDS",
      defaultValue = "delay 10ms 3ms loss 0.5% rate 50mbit",
      description = "Each node's, each way, as tc-netem has it. Default: ${DEFAULT-VALUE}.")
  private String network = "";

  @Option(
      names = "--no-networks",
      description = "All on one network: nodes are killed and frozen only.")
  private boolean noNetworks;

  @Option(
      names = "--outage",
      paramLabel = "S",
      defaultValue = "5",
      description = "Middle length of a trouble. Default: ${DEFAULT-VALUE}.")
  private double outage;

  @Option(
      names = "--up",
      paramLabel = "PERCENT",
      defaultValue = "94",
      description = "Of the time each node is well. Default: ${DEFAULT-VALUE}.")
  private int up;

  @Option(
      names = "--pace",
      paramLabel = "TOKENS",
      defaultValue = "25",
      description =
          "Of each engine, a second and answer, as of a larger model: else processors are all that is"
              + " measured. 0 for no limit. Default: ${DEFAULT-VALUE}.")
  private int pace;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Of the trouble. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(
      names = "--folder",
      paramLabel = "DIR",
      description = "For logs and homes. Default: a temporary one.")
  private @Nullable Path folder;

  private boolean mayHaveNetworks() throws Exception {
    if (noNetworks) {
      return false;
    }
    try {
      Process who = new ProcessBuilder("id", "-u").start();
      return new String(
                  who.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.US_ASCII)
              .strip()
              .equals("0")
          && Files.isWritable(Path.of("/dev/net/tun"))
          && new ProcessBuilder("ip", "-V").start().waitFor() == 0;
    } catch (java.io.IOException e) {
      return false;
    }
  }

  @Override
  public Integer call() throws Exception {
    if (up < 50 || up > 99 || nodes < 2 || nodes > 200 || streams < 1) {
      throw new Main.Failure("--up is from 50 to 99, --nodes from 2 to 200, --streams at least 1");
    }
    Path where = folder == null ? Files.createTempDirectory("gridtie-grid") : folder;
    boolean networks = mayHaveNetworks();
    if (!networks) {
      say(
          "no networks of their own: that needs root, ip and /dev/net/tun; nodes are killed and frozen only");
    }
    GridTrial.Plan plan =
        new GridTrial.Plan(
            nodes,
            slots,
            streams,
            distinct,
            maxTokens,
            networks ? network : "",
            outage,
            up,
            pace,
            "always",
            seed);
    GridTrial trial = new GridTrial(plan, where, BenchGridCommand::say);
    Thread cleaner = new Thread(trial::close);
    Runtime.getRuntime().addShutdownHook(cleaner);
    try (trial) {
      say("logs in " + where);
      trial.start();
      return measure(trial);
    } finally {
      boolean unused = Runtime.getRuntime().removeShutdownHook(cleaner);
    }
  }

  private int measure(GridTrial trial) throws Exception {
    TrialLoad load = trial.load();
    Outcome learned = load.learn();
    say("learned " + learned.asked() + " answers, " + learned.broken() + " broken");
    Outcome quiet = load.run(Duration.ofSeconds(calm));
    say("without trouble: " + line(quiet));
    CompletableFuture<TrialTrouble.Made> trouble = trial.trouble(Duration.ofSeconds(seconds));
    Outcome troubled = load.run(Duration.ofSeconds(seconds));
    TrialTrouble.Made made = trouble.get(2, TimeUnit.MINUTES);
    say("with trouble: " + line(troubled) + ", " + made.events());
    String stats = trial.stats().toString();
    Location ledger = trial.gatewayHome().ledger();
    WorkAudit work =
        new WorkAudit(
            new CheckpointWatcher(Verifier.read(ledger, CheckpointWatcher::kept), List.of()));
    Verifier.Report report = Verifier.verify(ledger, n -> {}, work);
    trial.close();
    Outcome direct = load.direct(Duration.ofSeconds(calm));
    say("directly: " + line(direct));
    print(quiet, troubled, direct, made);
    System.out.println();
    System.out.println("grid: " + stats);
    System.out.println(
        "ledger: " + report.getClass().getSimpleName() + ", " + work.parts() + " parts of answers");
    troubled.problems().stream().limit(20).forEach(p -> System.out.println("problem: " + p));
    return troubled.broken() == 0 ? 0 : 1;
  }

  private static void say(String what) {
    System.err.println(what);
  }

  private static String line(Outcome o) {
    return String.format(
        Locale.ROOT,
        "%d asked, %d right, %d otherwise, %d broken, median %.2f s",
        o.asked(),
        o.right(),
        o.otherwise(),
        o.broken(),
        o.median());
  }

  private void print(Outcome quiet, Outcome troubled, Outcome direct, TrialTrouble.Made made) {
    System.out.printf(
        Locale.ROOT,
        "%d nodes, %d streams; trouble: %s; nodes were ready %.1f %% of the time.%n%n",
        nodes,
        streams,
        made.events(),
        made.upPercent());
    System.out.println("| | asked | right | otherwise | broken | median, of direct | p95 | p99 |");
    System.out.println("|---|---|---|---|---|---|---|---|");
    for (var row :
        List.of(
            new Row("engines called directly", direct),
            new Row("the grid, no trouble", quiet),
            new Row("the grid, in trouble", troubled))) {
      Outcome o = row.outcome();
      System.out.printf(
          Locale.ROOT,
          "| %s | %d | %d | %d | %d | %.2f | %.2f | %.2f |%n",
          row.name(),
          o.asked(),
          o.right(),
          o.otherwise(),
          o.broken(),
          o.median() / direct.median(),
          o.percentile(95) / direct.median(),
          o.percentile(99) / direct.median());
    }
  }

  private record Row(String name, Outcome outcome) {}
}
