package dev.gridtie.app;

import dev.gridtie.app.BackupFile.Keys;
import dev.gridtie.app.BackupFile.Manifest;
import dev.gridtie.gateway.nodes.WorkAudit;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.ledger.log.CheckpointWatcher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie restore}. */
@Command(
    name = "restore",
    mixinStandardHelpOptions = true,
    description = {
      "Makes a home of a backup: unpacks it into an empty or new folder, holds every part to the manifest, replays the"
          + " ledger, and only then puts the home in its place. A backup that is damaged is refused, and the part named.",
      "Never run the restored home beside the one that it was copied from: both would sign with the same keys."
    })
final class RestoreCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Parameters(paramLabel = "FILE", description = "What ./gridtie backup has written.")
  private Path file = Path.of("");

  @Option(
      names = "--passphrase-file",
      paramLabel = "FILE",
      description = "Whose first line opens the private keys.")
  private @Nullable Path passphraseFile;

  @Option(
      names = "--passphrase-env",
      paramLabel = "NAME",
      description = "The environment's variable that opens the private keys.")
  private @Nullable String passphraseEnv;

  @Option(
      names = "--without-keys",
      description = "Restore without the private keys, where the passphrase is lost.")
  private boolean without;

  @Override
  public Integer call() throws IOException {
    Path target = home.get().path();
    requireEmpty(target);
    Path parent = Objects.requireNonNull(target.getParent());
    Files.createDirectories(parent);
    Path partial =
        Files.createTempDirectory(
            parent,
            ".restore-",
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    try {
      Manifest manifest = BackupFile.read(file, partial);
      boolean keys = openKeys(manifest, partial);
      Verifier.Report.Sound sound = verify(manifest, partial);
      if (Files.exists(partial.resolve("ledger.yaml"))) {
        Files.move(partial.resolve("ledger.yaml"), partial.resolve("ledger.yaml.before"));
      }
      Files.deleteIfExists(target);
      Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
      print(manifest, target, sound, keys);
      return 0;
    } finally {
      HomeBackup.delete(partial);
    }
  }

  private static void requireEmpty(Path target) throws IOException {
    if (!Files.exists(target)) {
      return;
    }
    try (Stream<Path> inside = Files.list(target)) {
      if (inside.findAny().isPresent()) {
        throw new IOException(
            target + " is not empty, and is not written over; name a new folder with --home");
      }
    }
  }

  /** Decrypts private files into their places; whether they are there. */
  private boolean openKeys(Manifest manifest, Path folder) throws IOException {
    Path sealed = folder.resolve(BackupFile.SEALED);
    if (manifest.keys() != Keys.ENCRYPTED || without) {
      Files.deleteIfExists(sealed);
      return manifest.keys() == Keys.IN_CLEAR;
    }
    char[] passphrase = Passphrase.of(passphraseFile, passphraseEnv, false);
    Map<String, byte[]> files =
        BackupFile.unpack(Passphrase.open(Files.readAllBytes(sealed), passphrase));
    if (!List.copyOf(files.keySet()).equals(manifest.privateFiles())) {
      throw new IOException(BackupFile.SEALED + " holds other files than the manifest names");
    }
    for (var one : files.entrySet()) {
      Path to = folder.resolve(one.getKey()).normalize();
      if (!to.startsWith(folder)) {
        throw new IOException("a private file would lie outside the home: " + one.getKey());
      }
      Files.createDirectories(
          Objects.requireNonNull(to.getParent()),
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      Files.createFile(
          to, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      Files.write(to, one.getValue(), StandardOpenOption.WRITE, StandardOpenOption.SYNC);
    }
    Files.delete(sealed);
    return true;
  }

  private static Verifier.Report.Sound verify(Manifest manifest, Path folder) throws IOException {
    Location ledger = Location.in(folder);
    CheckpointWatcher watcher =
        new CheckpointWatcher(Verifier.read(ledger, CheckpointWatcher::kept), List.of());
    Progress progress = new Progress("entries", manifest.entries());
    Verifier.Report report = Verifier.verify(ledger, progress::show, new WorkAudit(watcher));
    progress.end();
    return switch (report) {
      case Verifier.Report.Damaged damaged ->
          throw new IOException("ledger.db is damaged: " + damaged.problem());
      case Verifier.Report.Sound sound -> {
        if (sound.entries() != manifest.entries() || !sound.head().equals(manifest.head())) {
          throw new IOException("ledger.db is not the one that the manifest names");
        }
        yield sound;
      }
    };
  }

  private void print(Manifest manifest, Path target, Verifier.Report.Sound sound, boolean keys) {
    System.out.println(
        target + ": as of " + manifest.made() + ", " + sound.entries() + " entries, sound");
    System.out.println("head   " + sound.head());
    System.out.println();
    System.out.println("Before you start it:");
    for (String one :
        List.of(
            "Stop the gateway that it was copied from ("
                + manifest.home()
                + "), for good: two gateways with the same keys would spend one another's nonces"
                + " and sign two logs.",
            keys
                ? "Private keys are there: " + String.join(", ", manifest.privateFiles()) + "."
                : "Private keys are NOT there: put them into "
                    + target.resolve("keys")
                    + ", or new ones are made. With a new log.key the log cannot be gone on with; a"
                    + " new facilitator.key needs gas, and cannot claim from channels.",
            "What was paid after "
                + manifest.made()
                + " is not known here: the chain has it. Compare custody (./gridtie ledger"
                + " balance) with what payTo received. Hold the ledger to a checkpoint that you"
                + " kept: ./gridtie ledger verify --checkpoint FILE --key KEY.",
            manifest.store().equals("postgresql")
                ? "The ledger was on PostgreSQL and is in a file here. To put it back onto an empty"
                    + " database: ./gridtie ledger migrate --to URL (the old ledger.yaml is"
                    + " ledger.yaml.before)."
                : "The ledger is in a file, as it was.",
            "./gridtie doctor --home " + target + " says what is missing.")) {
      System.out.print(Doctor.wrapped("- " + one, 2));
    }
  }
}
