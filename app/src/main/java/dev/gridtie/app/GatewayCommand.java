package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Report;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie gateway}: the gateway alone. */
@Command(
    name = "gateway",
    mixinStandardHelpOptions = true,
    description = {
      "Starts a gateway as a configuration file says. The facilitator's key is kept in the home and needs gas on the chain.",
      "docs/gateway.md explains the file."
    })
final class GatewayCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--config",
      required = true,
      paramLabel = "FILE",
      description = "YAML; see docs/gateway.md.")
  private Path config = Path.of("");

  @Option(
      names = "--check",
      description =
          "Only test what it needs: configuration, port, files, chains, coins, gas, ledger. Status 0 where nothing fails, else 1.")
  private boolean check;

  @Override
  public Integer call() throws Exception {
    if (check) {
      List<Check> checks = new ArrayList<>(Doctor.ofInstallation(Install.here()));
      checks.addAll(Doctor.ofHome(home.get(), false));
      checks.addAll(Doctor.ofConfiguration(config, home.get(), Install.here(), false));
      Report report = DoctorCommand.report(checks);
      Doctor.print(report, System.out);
      return report.isReady() ? 0 : 1;
    }
    GatewayConfig read = GatewayConfig.read(config);
    Gateway gateway =
        Gateway.start(
            read,
            home.get(),
            Install.here(),
            Optional.ofNullable(config.toAbsolutePath().getParent()).orElse(Path.of("/")));
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  gateway.close();
                  stopped.countDown();
                }));
    for (String failure : Doctor.failures(gateway.readiness().report())) {
      System.err.println("gridtie: not ready: " + failure);
    }
    System.out.println("ready http://" + read.hostOrLoopback() + ":" + gateway.port());
    System.out.println("operator's pages " + gateway.adminUrl().map(URI::toString).orElse("off"));
    System.out.println(
        "gas is paid by "
            + String.join(" and ", gateway.gasPayers())
            + ": it needs some of the chain's coin");
    System.out.flush();
    stopped.await();
    return 0;
  }
}
