package dev.gridtie.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
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
    GridTrial.Plan plan = new GridTrial.Plan(1, 4, 1, 50, 150, "", 5, 94, 100, "idle", 1);
    List<Double> without = new ArrayList<>();
    List<Double> with = new ArrayList<>();
    List<Double> millis = new ArrayList<>();
    try (GridTrial trial = new GridTrial(plan, folder, System.err::println)) {
      trial.start();
      for (int i = 0; i < rounds; i++) {
        trial.stopFirst();
        without.add(hog().get(seconds + 30L, TimeUnit.SECONDS));
        trial.startFirst();
        TrialLoad.Outcome unused = trial.load().run(Duration.ofSeconds(2)); // it is at work
        Optional<ProcessHandle> engine = trial.firstEngine();
        CompletableFuture<Double> hog = hog();
        long began = System.nanoTime();
        if (engine.isEmpty()) {
          throw new Main.Failure("the node rests already: something else uses this machine");
        }
        while (engine.get().isAlive()) {
          Thread.sleep(10);
        }
        millis.add((System.nanoTime() - began) / 1e6);
        with.add(hog.get(seconds + 30L, TimeUnit.SECONDS));
        System.err.println("round " + (i + 1) + " of " + rounds);
      }
    }
    List<Double> parts = new ArrayList<>();
    for (int i = 0; i < rounds; i++) {
      parts.add(with.get(i) / without.get(i));
    }
    System.out.println("| | median | least | most |");
    System.out.println("|---|---|---|---|");
    row("the engine has ended after, ms", millis, 1);
    row("the owner's program with a node, of the round's without, %", parts, 0.01);
    row("without, of their median, %", without, median(without) / 100);
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

  /** A program of the owner's: counts on every processor, and says how far it came. */
  static final class Hog {
    private Hog() {}

    public static void main(String[] arguments) throws InterruptedException {
      long end = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
      AtomicLong all = new AtomicLong();
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < Runtime.getRuntime().availableProcessors(); i++) {
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      long counted = 0;
                      long x = 1;
                      while (System.nanoTime() < end) {
                        for (int k = 0; k < 10_000; k++) {
                          x = x * 6364136223846793005L + 1442695040888963407L;
                        }
                        counted += x == 0 ? 2 : 1;
                      }
                      all.addAndGet(counted);
                    }));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      System.out.println(all.get());
    }
  }

  private CompletableFuture<Double> hog() throws IOException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
                "-Xmx64m",
                "-cp",
                System.getProperty("java.class.path"),
                Hog.class.getName(),
                Integer.toString(seconds))
            .start();
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            byte[] out = process.getInputStream().readAllBytes();
            return Double.parseDouble(new String(out, StandardCharsets.US_ASCII).strip());
          } catch (IOException e) {
            throw new IllegalStateException(e);
          }
        });
  }
}
