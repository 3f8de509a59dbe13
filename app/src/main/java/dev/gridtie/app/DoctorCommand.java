package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Readiness;
import dev.gridtie.base.ready.Report;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

/** {@code gridtie doctor}: what is missing, and what to do about it. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = {
      "Tests what a paid request needs, each check in under a second, and prints the remedy of what fails. Works beside"
          + " a running gateway, which it asks whether it is ready, and without one.",
      "With --config it tests what that gateway needs (chains, coins, keys, files); without, what ./gridtie up and"
          + " ./gridtie node need. Ends with status 0 where nothing has failed, and else 1."
    })
final class DoctorCommand implements Callable<Integer> {
  /** How long a gateway's own report, whose checks take up to a second, is waited for. */
  private static final Duration REPORT_PATIENCE = Duration.ofSeconds(3);

  private static final int REPORT_BYTES_MAX = 256 * 1024;

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(names = "--config", paramLabel = "FILE", description = "A gateway's configuration.")
  private @Nullable Path config;

  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "A running gateway to be asked (default: the one that ./gridtie up started in the home).")
  private @Nullable URI url;

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "4020",
      description = "That ./gridtie up would take (default: ${DEFAULT-VALUE}).")
  private int port;

  @Override
  public Integer call() throws IOException {
    Home where = home.get();
    Install install = Install.here();
    Optional<Said> said = running(where);
    List<Check> checks = new ArrayList<>(Doctor.ofInstallation(install));
    checks.addAll(Doctor.ofHome(where, said.isPresent()));
    if (config != null) {
      checks.addAll(Doctor.ofConfiguration(config, where, install, said.isPresent()));
    } else if (said.isEmpty()) {
      checks.addAll(Doctor.ofUp(install, "Q8_0", port));
    }
    checks.addAll(NodeChecks.all(install));
    Report report = report(checks);
    Doctor.print(report, System.out);
    boolean ready = said.map(DoctorCommand::print).orElse(true);
    if (said.isEmpty() && url != null) {
      System.out.print(
          Doctor.wrapped("FAIL  gateway: nothing answers at " + url + "/health/ready", 6));
      ready = false;
    }
    boolean well = report.isReady() && ready;
    System.out.println(
        well ? "all is well" : "not all is well: see the lines that begin with FAIL");
    return well ? 0 : 1;
  }

  static Report report(List<Check> checks) {
    Readiness readiness = new Readiness(System::nanoTime);
    readiness.addAll(checks);
    return readiness.now();
  }

  /** What a running gateway says of itself. */
  private record Said(URI gateway, JsonNode report) {}

  private Optional<Said> running(Home where) throws IOException {
    URI gateway = url;
    if (gateway == null && config != null) {
      try {
        GatewayConfig read = GatewayConfig.read(config);
        gateway = URI.create("http://" + read.hostOrLoopback() + ":" + read.port());
      } catch (IOException | IllegalArgumentException e) {
        return Optional.empty(); // the check of the configuration says what is wrong
      }
    }
    if (gateway == null && Files.exists(where.upJson())) {
      gateway = UpFile.read(where).gateway();
    }
    return gateway == null ? Optional.empty() : ask(gateway);
  }

  private static Optional<Said> ask(URI gateway) {
    try (HttpClient http =
        HttpClient.newBuilder()
            .connectTimeout(REPORT_PATIENCE)
            .version(HttpClient.Version.HTTP_1_1)
            .build()) {
      HttpResponse<InputStream> response =
          http.send(
              HttpRequest.newBuilder(gateway.resolve("/health/ready"))
                  .timeout(REPORT_PATIENCE)
                  .build(),
              HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream in = response.body()) {
        JsonNode json = Json.parse(in.readNBytes(REPORT_BYTES_MAX));
        return json.path("checks").isObject()
            ? Optional.of(new Said(gateway, json))
            : Optional.empty();
      }
    } catch (IOException | Json.MalformedJsonException | IllegalArgumentException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    }
  }

  /** Prints it; whether the gateway is ready. */
  private static boolean print(Said said) {
    boolean ready = Json.text(said.report(), "status") instanceof String s && s.equals("ready");
    System.out.print(
        Doctor.wrapped(
            (ready ? "ok    " : "FAIL  ")
                + "gateway: "
                + said.gateway()
                + (ready ? " is ready" : " is not ready"),
            6));
    for (JsonNode failed : said.report().path("failed")) {
      System.out.print(
          Doctor.wrapped(
              "      " + Json.text(failed, "check") + ": " + Json.text(failed, "reason"), 8));
    }
    return ready;
  }
}
