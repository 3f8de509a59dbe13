package dev.gridtie.app;

import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Copy;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie ledger migrate}. */
@Command(
    name = "migrate",
    mixinStandardHelpOptions = true,
    description = {
      "Takes this home's ledger, and payments, receipts and requests with it, to PostgreSQL or back into a file; compares"
          + " the copy row by row, verifies it, and has the home use it from then on.",
      "Stop its gateways first. The ledger that is left stays as it is, and is used no more.",
      "To give a second gateway the same ledger: copy ledger.yaml and keys/log.key into its home."
    })
final class MigrateCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @ArgGroup(multiplicity = "1")
  private Target target = new Target();

  /** One of the two. */
  static final class Target {
    @Option(
        names = "--to",
        paramLabel = "URL",
        description =
            "jdbc:postgresql://HOST/DATABASE, an empty database; the connection is encrypted with ?sslmode=verify-full.")
    private @Nullable String url;

    @Option(names = "--to-file", description = "Back into ledger.db in this home.")
    private boolean file;
  }

  @Option(names = "--user", paramLabel = "NAME", description = "Default: ${DEFAULT-VALUE}.")
  private String user = "gridtie";

  @Option(
      names = "--password-env",
      paramLabel = "NAME",
      description = "The environment's variable that has the password, now and later.")
  private @Nullable String passwordEnv;

  @Option(
      names = "--password-file",
      paramLabel = "FILE",
      description =
          "A file that has it on one line, relative to the home, such as keys/postgresql.password.")
  private @Nullable String passwordFile;

  @Override
  public Integer call() throws IOException {
    Path path = home.get().path();
    Location from = home.ledger();
    @Nullable LedgerAt at =
        target.url == null ? null : new LedgerAt(target.url, user, passwordEnv, passwordFile);
    Location to = at == null ? Location.in(path) : at.location(path);
    if (from.getClass() == to.getClass() && from instanceof Location.OnFile) {
      throw new Main.Failure("the ledger is in " + from + " already");
    }
    if (to instanceof Location.OnFile file && Files.exists(file.file())) {
      throw new Main.Failure(
          file + " is there already, from before; move it and ledger.head, ledger.seal away first");
    }
    Progress progress = new Progress("rows", 0);
    Verifier.Report.Sound sound =
        Copy.copy(from, to, List.of(GatewayTables.MIGRATIONS), progress::show);
    progress.end();
    try (KeyStore before = KeyStore.open(from);
        KeyStore after = KeyStore.open(to)) {
      before.copyTo(after);
    }
    try (PoolStore before = PoolStore.open(from);
        PoolStore after = PoolStore.open(to)) {
      before.copyTo(after);
    }
    if (at == null) {
      Files.move(LedgerAt.file(path), path.resolve("ledger.yaml.before"));
    } else {
      Files.writeString(LedgerAt.file(path), at.yaml());
    }
    System.out.println(
        from + " → " + to + ": " + sound.entries() + " entries, each compared and verified");
    System.out.println("head   " + sound.head());
    return 0;
  }
}
