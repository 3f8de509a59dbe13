package dev.gridtie.app;

import dev.gridtie.app.BackupFile.Keys;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie backup}. */
@Command(
    name = "backup",
    mixinStandardHelpOptions = true,
    description = {
      "Copies a home into one file, beside a running gateway: the ledger (also one on PostgreSQL) with payments, answers,"
          + " receipts and usage, as it is at one instant, and verified; account keys, pools and invitations; journals and"
          + " caps of spending; private keys, encrypted by a passphrase.",
      "./gridtie restore FILE --home DIR makes a home of it again."
    })
final class BackupCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Parameters(paramLabel = "FILE", description = "Where to; must not be there yet.")
  private Path file = Path.of("");

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "The gateway's configuration, which is kept with it, and its catalog.")
  private @Nullable Path config;

  @ArgGroup private @Nullable HowKeys how;

  /** One of these; a passphrase is asked for where none is given. */
  static final class HowKeys {
    @Option(
        names = "--passphrase-file",
        paramLabel = "FILE",
        description = "Encrypt private keys by this file's first line.")
    private @Nullable Path passphraseFile;

    @Option(
        names = "--passphrase-env",
        paramLabel = "NAME",
        description = "Encrypt private keys by this variable of the environment.")
    private @Nullable String passphraseEnv;

    @Option(
        names = "--keys-in-clear",
        description = "Keep private keys as they are: whoever has the file has them.")
    private boolean inClear;

    @Option(
        names = "--without-keys",
        description =
            "Leave private keys out: a restored gateway then has others, and cannot sign its log.")
    private boolean without;
  }

  @Override
  public Integer call() throws IOException {
    HomeBackup.Secrets secrets = secrets();
    Map<String, Path> configuration = configuration();
    Progress progress =
        new Progress("entries", Verifier.read(home.ledger(), c -> new LedgerReader(c).size()));
    BackupFile.Manifest made =
        new HomeBackup(home.get(), InstantSource.system())
            .write(file.toAbsolutePath(), secrets, configuration, progress::show);
    progress.end();
    print(made);
    return 0;
  }

  private HomeBackup.Secrets secrets() throws IOException {
    if (how != null && how.inClear) {
      return new HomeBackup.Secrets(Keys.IN_CLEAR, Optional.empty());
    }
    if (how != null && how.without) {
      return new HomeBackup.Secrets(Keys.LEFT_OUT, Optional.empty());
    }
    return new HomeBackup.Secrets(
        Keys.ENCRYPTED,
        Optional.of(
            Passphrase.of(
                how == null ? null : how.passphraseFile,
                how == null ? null : how.passphraseEnv,
                true)));
  }

  private Map<String, Path> configuration() throws IOException {
    Map<String, Path> files = new LinkedHashMap<>();
    if (config != null) {
      GatewayConfig read = GatewayConfig.read(config);
      files.put(String.valueOf(config.getFileName()), config);
      if (read.catalog() != null) {
        Path catalog = Path.of(read.catalog());
        files.put(String.valueOf(catalog.getFileName()), catalog);
      }
    }
    return files;
  }

  private void print(BackupFile.Manifest made) {
    System.out.println(file + ": " + made.entries() + " entries, sound, head " + made.head());
    System.out.println();
    System.out.println("inside");
    made.parts()
        .forEach((name, part) -> System.out.println("  " + name + "  " + part.bytes() + " bytes"));
    System.out.print(
        Doctor.wrapped(
            switch (made.keys()) {
              case ENCRYPTED ->
                  "private keys, encrypted: "
                      + String.join(", ", made.privateFiles())
                      + ". Without the passphrase they are lost";
              case IN_CLEAR ->
                  "PRIVATE KEYS IN CLEAR: whoever has this file can spend what they hold";
              case LEFT_OUT ->
                  "NOT inside: private keys ("
                      + String.join(", ", made.privateFiles())
                      + "). Keep them elsewhere";
            },
            2));
    System.out.print(
        Doctor.wrapped(
            "not inside: "
                + (made.leftOut().isEmpty() ? "" : String.join(", ", made.leftOut()) + ", ")
                + (config == null ? "the configuration (--config FILE), " : "")
                + "models' files, providers' keys, TLS",
            2));
    System.out.print(
        Doctor.wrapped(
            "Texts of paid answers that are kept, and who paid for what, are in ledger.db in clear:"
                + " keep the file as you keep the home.",
            2));
  }
}
