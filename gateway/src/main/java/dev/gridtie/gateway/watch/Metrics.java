package dev.gridtie.gateway.watch;

import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Model;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Timer;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Prometheus metrics. Labels are bounded: models and providers are the catalog's, never a client's
 * words.
 */
public final class Metrics implements Watch {
  private static final double PICO = 1e-12;

  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final Catalog catalog;
  private final Map<String, Meters> meters = new ConcurrentHashMap<>();

  /** The meters of one combination of labels, looked up once. */
  private record Meters(
      Counter requests,
      Counter input,
      Counter cached,
      Counter output,
      Counter dollars,
      Counter estimated,
      Timer firstByte,
      Timer total) {}

  public Metrics(Catalog catalog) {
    this.catalog = catalog;
  }

  @Override
  public void over(Seen seen) {
    String key = seen.model() + "|" + seen.provider() + "|" + seen.dialect() + "|" + seen.outcome();
    Meters m = meters.computeIfAbsent(key, k -> meters(seen));
    m.requests().increment();
    m.input().increment(seen.usage().input());
    m.cached().increment(seen.usage().cacheRead());
    m.output().increment(seen.usage().output());
    m.dollars().increment(seen.cost().pico().doubleValue() * PICO);
    m.estimated().increment(seen.usage().estimated() ? 1 : 0);
    m.firstByte().record(Duration.ofMillis(seen.firstByteMs()));
    m.total().record(Duration.ofMillis(seen.totalMs()));
  }

  /** A request was answered with this status, whatever became of it before. */
  public void answered(int status) {
    registry.counter("gridtie.http.responses", "status", Integer.toString(status)).increment();
  }

  private Meters meters(Seen seen) {
    String[] labels = {
      "model",
      seen.model(),
      "provider",
      seen.provider(),
      "dialect",
      seen.dialect(),
      "outcome",
      seen.outcome()
    };
    return new Meters(
        registry.counter("gridtie.requests", labels),
        registry.counter("gridtie.tokens.input", labels),
        registry.counter("gridtie.tokens.cached", labels),
        registry.counter("gridtie.tokens.output", labels),
        registry.counter("gridtie.charged.usd", labels),
        registry.counter("gridtie.usage.estimated", labels),
        Timer.builder("gridtie.first.byte")
            .tags(labels)
            .publishPercentileHistogram(false)
            .serviceLevelObjectives(
                Duration.ofMillis(100),
                Duration.ofMillis(300),
                Duration.ofSeconds(1),
                Duration.ofSeconds(3),
                Duration.ofSeconds(10))
            .register(registry),
        registry.timer("gridtie.request", labels));
  }

  /** Everything, as Prometheus reads it. */
  public String scrape() {
    StringBuilder out = new StringBuilder(registry.scrape());
    out.append("# TYPE gridtie_endpoint_running gauge\n");
    endpoints((labels, e) -> line(out, "running", labels, e.health().running()));
    out.append("# TYPE gridtie_endpoint_uptime gauge\n");
    endpoints((labels, e) -> line(out, "uptime", labels, e.health().uptime(Duration.ofMinutes(5))));
    out.append("# TYPE gridtie_endpoint_first_byte_p50_ms gauge\n");
    endpoints(
        (labels, e) -> line(out, "first_byte_p50_ms", labels, e.health().firstByte(50).toMillis()));
    out.append("# TYPE gridtie_endpoint_open_breakers gauge\n");
    endpoints(
        (labels, e) ->
            line(
                out,
                "open_breakers",
                labels,
                e.channels().stream()
                    .filter(c -> c.breaker().state() != Breaker.State.CLOSED)
                    .count()));
    return out.toString();
  }

  private interface EndpointLine {
    void write(String labels, Endpoint endpoint);
  }

  private void endpoints(EndpointLine line) {
    for (Model model : catalog.all()) {
      for (Endpoint endpoint : model.endpoints()) {
        line.write(
            "{model=\"" + escaped(model.id()) + "\",endpoint=\"" + escaped(endpoint.id()) + "\"}",
            endpoint);
      }
    }
  }

  private static void line(StringBuilder out, String name, String labels, double value) {
    out.append("gridtie_endpoint_")
        .append(name)
        .append(labels)
        .append(' ')
        .append(String.format(Locale.ROOT, "%.4f", value))
        .append('\n');
  }

  private static String escaped(String label) {
    return label.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
  }
}
