package dev.gridtie.app;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie top}: what a running gateway is doing, live. */
@Command(
    name = "top",
    mixinStandardHelpOptions = true,
    description = {
      "Shows a running gateway at work: requests, tokens and spending by model, and the health of every endpoint.",
      "Reads /metrics of its operator's pages. Ctrl-C ends it."
    })
final class TopCommand implements Callable<Integer> {
  private static final Pattern LINE = Pattern.compile("^(\\w+)\\{([^}]*)} ([-+.0-9eE]+)$");
  private static final Pattern LABEL =
      Pattern.compile("(\\w+)=\"([^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+)\"");

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "The gateway's operator's pages, as it prints them at its start (default: those of the one that ./gridtie up started).")
  private @Nullable String url;

  @Option(
      names = "--token-file",
      paramLabel = "FILE",
      description = "Holds the gateway's adminToken, where it wants one.")
  private @Nullable Path tokenFile;

  @Option(
      names = "--every",
      paramLabel = "SECONDS",
      defaultValue = "1",
      description = "How often to look (default: ${DEFAULT-VALUE}).")
  private int every;

  @Option(names = "--once", description = "Print one table and end.")
  private boolean once;

  /** One line of the metrics. */
  private record Sample(String name, Map<String, String> labels, double value) {}

  /** What was done for a model. */
  private static final class Row {
    double requests;
    double failed;
    double input;
    double cached;
    double output;
    double dollars;
  }

  @Override
  public Integer call() throws Exception {
    if (every < 1) {
      throw new Main.Failure("--every must be at least 1");
    }
    HttpRequest.Builder metrics =
        HttpRequest.newBuilder(admin().resolve("/metrics")).timeout(Duration.ofSeconds(5));
    if (tokenFile != null) {
      metrics.header("Authorization", "Bearer " + Files.readString(tokenFile).strip());
    }
    Map<String, Row> before = new TreeMap<>();
    try (HttpClient http = HttpClient.newHttpClient()) {
      while (true) {
        List<Sample> samples = read(http, metrics.build());
        Map<String, Row> now = rows(samples);
        String table = table(now, before, samples);
        System.out.print(once ? table : "\u001b[H\u001b[2J" + table);
        System.out.flush();
        if (once) {
          return 0;
        }
        before = now;
        Thread.sleep(Duration.ofSeconds(every));
      }
    }
  }

  private URI admin() throws IOException {
    if (url != null) {
      return URI.create(url);
    }
    if (!Files.exists(home.get().upJson())) {
      throw new Main.Failure(
          "nothing was started in this home; name a gateway's operator's pages with --url");
    }
    return UpFile.read(home.get()).admin();
  }

  private static List<Sample> read(HttpClient http, HttpRequest metrics)
      throws InterruptedException {
    try {
      HttpResponse<String> answer = http.send(metrics, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        throw new Main.Failure(metrics.uri() + " says " + answer.statusCode());
      }
      List<Sample> samples = new ArrayList<>();
      answer.body().lines().forEach(line -> parse(line, samples));
      return samples;
    } catch (IOException e) {
      throw new Main.Failure("no gateway answers at " + metrics.uri());
    }
  }

  private static void parse(String line, List<Sample> into) {
    Matcher matcher = LINE.matcher(line);
    if (matcher.matches()) {
      Map<String, String> labels = new LinkedHashMap<>();
      Matcher label = LABEL.matcher(matcher.group(2));
      while (label.find()) {
        labels.put(label.group(1), label.group(2));
      }
      into.add(new Sample(matcher.group(1), labels, Double.parseDouble(matcher.group(3))));
    }
  }

  private static Map<String, Row> rows(List<Sample> samples) {
    Map<String, Row> rows = new TreeMap<>();
    for (Sample s : samples) {
      if (!s.name().startsWith("gridtie_") || s.name().startsWith("gridtie_endpoint")) {
        continue;
      }
      Row row = rows.computeIfAbsent(s.labels().getOrDefault("model", ""), k -> new Row());
      String outcome = s.labels().getOrDefault("outcome", "");
      switch (s.name()) {
        case "gridtie_requests_total" -> {
          row.requests += s.value();
          row.failed += outcome.equals("failed") || outcome.equals("cut") ? s.value() : 0;
        }
        case "gridtie_tokens_input_total" -> row.input += s.value();
        case "gridtie_tokens_cached_total" -> row.cached += s.value();
        case "gridtie_tokens_output_total" -> row.output += s.value();
        case "gridtie_charged_usd_total" -> row.dollars += s.value();
        default -> {}
      }
    }
    return rows;
  }

  private String table(Map<String, Row> now, Map<String, Row> before, List<Sample> samples) {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%-32s %9s %7s %7s %11s %8s %11s %12s%n",
            "MODEL",
            "REQUESTS",
            "PER S",
            "FAILED",
            "SENT",
            "CACHED",
            "RECEIVED",
            "USD"));
    now.forEach(
        (model, row) -> {
          Row old = before.getOrDefault(model, new Row());
          double rate = before.isEmpty() ? 0 : (row.requests - old.requests) / every;
          out.append(
              String.format(
                  Locale.ROOT,
                  "%-32s %9.0f %7.1f %7.0f %11.0f %7.0f%% %11.0f %12.6f%n",
                  model,
                  row.requests,
                  rate,
                  row.failed,
                  row.input,
                  row.input == 0 ? 0 : 100 * row.cached / row.input,
                  row.output,
                  row.dollars));
        });
    out.append(
        String.format(
            Locale.ROOT,
            "%n%-32s %-16s %8s %8s %12s %s%n",
            "ENDPOINT",
            "PROVIDER",
            "RUNNING",
            "UPTIME",
            "FIRST BYTE",
            "STATE"));
    endpoints(samples).forEach((key, values) -> out.append(endpoint(key, values)));
    return out.toString();
  }

  private static Map<String, Map<String, Double>> endpoints(List<Sample> samples) {
    Map<String, Map<String, Double>> endpoints = new TreeMap<>();
    for (Sample s : samples) {
      if (s.name().startsWith("gridtie_endpoint_")) {
        String key = s.labels().get("model") + "\t" + s.labels().get("endpoint");
        endpoints
            .computeIfAbsent(key, k -> new LinkedHashMap<>())
            .put(s.name().substring("gridtie_endpoint_".length()), s.value());
      }
    }
    return endpoints;
  }

  private static String endpoint(String key, Map<String, Double> values) {
    String[] names = key.split("\t", 2);
    boolean open = values.getOrDefault("open_breakers", 0.0) > 0;
    return String.format(
        Locale.ROOT,
        "%-32s %-16s %8.0f %7.0f%% %9.0f ms %s%n",
        names[0],
        names[1],
        values.getOrDefault("running", 0.0),
        100 * values.getOrDefault("uptime", 1.0),
        values.getOrDefault("first_byte_p50_ms", 0.0),
        open ? "left alone" : "well");
  }
}
