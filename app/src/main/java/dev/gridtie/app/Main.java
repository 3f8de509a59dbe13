package dev.gridtie.app;

import dev.gridtie.ledger.Location;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The command {@code gridtie}. */
@Command(
    name = "gridtie",
    description =
        "Net metering for language models: one API in front of every model, each call paid by itself.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    subcommands = {
      UpCommand.class,
      ChatCommand.class,
      GatewayCommand.class,
      DoctorCommand.class,
      BackupCommand.class,
      RestoreCommand.class,
      CallCommand.class,
      WalletCommand.class,
      FacilitatorCommand.class,
      KeyCommand.class,
      CreditsCommand.class,
      NodeCommand.class,
      PoolCommand.class,
      ModelCommand.class,
      ProxyCommand.class,
      LedgerCommand.class,
      ReceiptCommand.class,
      TopCommand.class,
      BenchCommand.class,
    },
    footer = {
      "",
      "Begin with:  ./gridtie up        and, in another terminal,  ./gridtie chat \"What is a receipt?\"",
      "The launcher also knows:  ./gridtie build   ./gridtie test [--long]"
    })
public final class Main implements Runnable {
  @CommandLine.Spec private @Nullable CommandSpec spec;

  /** What {@code --version} prints. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"gridtie 0.1.0", "Java " + Runtime.version()};
    }
  }

  /** The option that every command with a home has. */
  static final class HomeOption {
    @Option(
        names = "--home",
        paramLabel = "DIR",
        description =
            "Where keys, ledger and logs are kept (default: $GRIDTIE_HOME, else ~/.gridtie).")
    @Nullable Path home;

    Home get() {
      return Home.of(Optional.ofNullable(home));
    }

    /** Where its ledger is; there is one. */
    Location ledger() {
      try {
        Location where = get().ledger();
        if (where instanceof Location.OnFile file && !Files.exists(file.file())) {
          throw new Failure("there is no ledger at " + where + "; name its folder with --home");
        }
        return where;
      } catch (IOException e) {
        throw new Failure(String.valueOf(e.getMessage()));
      }
    }
  }

  /** Ends a command with a message for a person, and status 1. */
  static final class Failure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Failure(String message) {
      super(message);
    }
  }

  /** The status of a process that SIGTERM has ended. */
  private static final int TERMINATED = 143;

  /**
   * Ends this process in order when the launcher that supervises it is gone, however it ended: a
   * program without its supervisor would be in the way of the next one.
   */
  private static void endWithSupervisor() {
    Long pid = Long.getLong("gridtie.supervisor");
    if (pid == null) {
      return;
    }
    var unused =
        ProcessHandle.of(pid)
            .map(ProcessHandle::onExit)
            .orElseGet(() -> CompletableFuture.failedFuture(new IllegalStateException("gone")))
            .whenComplete((gone, e) -> Thread.ofPlatform().start(() -> System.exit(TERMINATED)));
  }

  public static void main(String[] arguments) {
    endWithSupervisor();
    CommandLine commandLine =
        new CommandLine(new Main())
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setExecutionExceptionHandler(
                (e, command, result) -> {
                  if (e instanceof Failure
                      || e instanceof java.io.IOException
                      || e instanceof dev.gridtie.ledger.StoreException) {
                    System.err.println("gridtie: " + e.getMessage());
                    return 1;
                  }
                  throw e;
                });
    System.exit(commandLine.execute(arguments));
  }

  @Override
  public void run() {
    if (spec != null) {
      spec.commandLine().usage(System.out);
    }
  }
}
