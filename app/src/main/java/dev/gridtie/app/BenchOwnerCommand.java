package dev.gridtie.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code gridtie bench owner}: what a node costs whoever uses its machine. */
@Command(
    name = "owner",
    mixinStandardHelpOptions = true,
    description = {
      "Starts a node that answers, then a program of the owner's that takes every processor, and says how soon the engine has ended"
          + " and how much the program lost, against the same without a node.",
      "Prints a table in Markdown. Readings on a busy machine are worth little; compare rows of one run."
    })
final class BenchOwnerCommand implements Callable<Integer> {
  private static final Pattern BYTES = Pattern.compile("(?m)^(\\d+) bytes");

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Default: ${DEFAULT-VALUE}.")
  private int rounds;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "8",
      description = "Of the owner's program. Default: ${DEFAULT-VALUE}.")
  private int seconds;

  @Override
  public Integer call() throws Exception {
    Path folder = Files.createTempDirectory("gridtie-owner");
    GridTrial.Plan plan = new GridTrial.Plan(1, 4, 2, 50, 150, "", 5, 94, 0, "idle", 1);
    List<Double> without = new ArrayList<>();
    List<Double> with = new ArrayList<>();
    List<Double> millis = new ArrayList<>();
    try (GridTrial trial = new GridTrial(plan, folder, System.err::println)) {
      trial.start();
      for (int i = 0; i < rounds; i++) {
        trial.stopFirst();
        without.add(hog().get(seconds + 30L, TimeUnit.SECONDS));
        trial.startFirst();
        GridTrial.Outcome unused = trial.run(Duration.ofSeconds(2)); // it is at work
        CompletableFuture<Double> hog = hog();
        long began = System.nanoTime();
        while (trial.firstEngine().isPresent()) {
          Thread.sleep(10);
        }
        millis.add((System.nanoTime() - began) / 1e6);
        with.add(hog.get(seconds + 30L, TimeUnit.SECONDS));
        System.err.println("round " + (i + 1) + " of " + rounds);
      }
    }
    double lost = 100 * (1 - median(with) / median(without));
    System.out.println("| | median | least | most |");
    System.out.println("|---|---|---|---|");
    row("the engine has ended after, ms", millis, 1);
    row("the owner's program with a node, of without, %", with, median(without) / 100);
    row("without, round by round, %", without, median(without) / 100);
    System.out.printf(Locale.ROOT, "%nThe program lost %.1f %% at the median.%n", lost);
    return 0;
  }

  private static double median(List<Double> values) {
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    return sorted[sorted.length / 2];
  }

  private static void row(String name, List<Double> values, double unit) {
    double[] sorted = values.stream().mapToDouble(v -> v / unit).sorted().toArray();
    System.out.printf(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.1f |%n",
        name,
        sorted[sorted.length / 2],
        sorted[0],
        sorted[sorted.length - 1]);
  }

  /** Copies nothing to nowhere on every processor, and says how many bytes. */
  private CompletableFuture<Double> hog() throws IOException {
    List<Process> all = new ArrayList<>();
    for (int i = 0; i < Runtime.getRuntime().availableProcessors(); i++) {
      ProcessBuilder one =
          new ProcessBuilder(
                  Arrays.asList(
                      "timeout",
                      "-s",
                      "INT",
                      Integer.toString(seconds),
                      "dd",
                      "if=/dev/zero",
                      "of=/dev/null",
                      "bs=4k"))
              .redirectErrorStream(true);
      one.environment().put("LC_ALL", "C");
      all.add(one.start());
    }
    return CompletableFuture.supplyAsync(
        () -> {
          double bytes = 0;
          for (Process each : all) {
            try {
              Matcher m =
                  BYTES.matcher(
                      new String(each.getInputStream().readAllBytes(), StandardCharsets.US_ASCII));
              bytes += m.find() ? Double.parseDouble(m.group(1)) : 0;
            } catch (IOException e) {
              throw new IllegalStateException(e);
            }
          }
          return bytes;
        });
  }
}
