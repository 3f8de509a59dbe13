package dev.gridtie.app;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code gridtie node install}: keeps a node running, as a systemd service of this user. */
@Command(
    name = "install",
    mixinStandardHelpOptions = true,
    description = {
      "Writes a systemd user service that runs gridtie node with the options given behind --, and says how to start it.",
      "Example: ./gridtie node install -- --join https://gateway.example --hours 00:00-06:00"
    })
final class NodeInstallCommand implements Callable<Integer> {
  private static final String UNIT = "gridtie-node.service";

  @Parameters(paramLabel = "OPTIONS", arity = "1..*", description = "Of gridtie node.")
  private List<String> options = List.of();

  private static Path unit() {
    String config = System.getenv("XDG_CONFIG_HOME");
    Path base =
        config == null || config.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".config")
            : Path.of(config);
    return base.resolve("systemd/user").resolve(UNIT);
  }

  /** One argument as systemd reads it (systemd.service(5), command lines). */
  private static String quoted(String argument) {
    return "\""
        + argument.replace("\\", "\\\\").replace("\"", "\\\"").replace("%", "%%").replace("$", "$$")
        + "\"";
  }

  /** The unit's text. */
  static String text(Path launcher, List<String> options) {
    StringBuilder line = new StringBuilder(quoted(launcher.toString())).append(" node");
    options.forEach(o -> line.append(' ').append(quoted(o)));
    // No idle weight of processors: an engine that is killed would have none to die on.
    return """
        [Unit]
        Description=Gridtie node: answers for others while this machine is idle
        After=network-online.target

        [Service]
        ExecStart=%s
        Restart=on-failure
        RestartSec=10
        Nice=10
        IOSchedulingClass=idle
        NoNewPrivileges=yes

        [Install]
        WantedBy=default.target
        """
        .formatted(line);
  }

  @Override
  public Integer call() throws IOException {
    if (options.stream().noneMatch(o -> o.startsWith("--join") || o.startsWith("--invitation"))) {
      throw new Main.Failure("give the node's options behind --: at least --join or --invitation");
    }
    Path file = unit();
    Files.createDirectories(file.getParent());
    Files.writeString(file, text(Install.here().root().resolve("gridtie"), options));
    System.out.println("Wrote " + file + ". Start it, now and at each login:");
    System.out.println("  systemctl --user daemon-reload && systemctl --user enable --now " + UNIT);
    System.out.println("Keep it running while you are logged out: loginctl enable-linger");
    System.out.println("Look at it: ./gridtie node status, journalctl --user -u " + UNIT);
    return 0;
  }

  /** {@code gridtie node uninstall}. */
  @Command(
      name = "uninstall",
      mixinStandardHelpOptions = true,
      description = "Removes the service's file.")
  static final class Uninstall implements Callable<Integer> {
    @Override
    public Integer call() throws IOException {
      boolean removed = Files.deleteIfExists(unit());
      System.out.println(
          removed
              ? "Removed " + unit() + ". Stop it: systemctl --user disable --now " + UNIT
              : "There was none at " + unit() + ".");
      return 0;
    }
  }
}
