package dev.gridtie.app;

import dev.gridtie.app.BackupFile.Keys;
import dev.gridtie.app.BackupFile.Manifest;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.gateway.till.Beside;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Backup;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Copies a whole home, beside a running gateway. The order is what makes the copy one: the ledger
 * as it is at one instant, then account keys and pools, then files; so nothing in the ledger lacks
 * its key, and no journal or cap of spending is older than the ledger.
 */
final class HomeBackup {
  /** What is made anew, or belongs to the running process, or is only for people to read. */
  private static final List<String> NOT_COPIED =
      List.of("logs", "models", "manifests", "node.json", "up.json", "chain/anvil.log");

  private static final int DEPTH_MAX = 6;

  /** The largest file that is held as private, in bytes. */
  private static final long PRIVATE_BYTES_MAX = 1024 * 1024;

  private final Home home;
  private final InstantSource clock;

  HomeBackup(Home home, InstantSource clock) {
    this.home = home;
    this.clock = clock;
  }

  /**
   * What is done with private keys.
   *
   * @param passphrase encrypts them; empty where they are not encrypted
   */
  record Secrets(Keys keys, Optional<char[]> passphrase) {}

  /**
   * Writes the backup.
   *
   * @param configuration files that are kept with it, by their names inside
   * @param progress told the number of entries verified, now and then
   */
  Manifest write(Path file, Secrets secrets, Map<String, Path> configuration, LongConsumer progress)
      throws IOException {
    if (Files.exists(file)) {
      throw new IOException(file + " is there already; it is not written over");
    }
    Path parent = Objects.requireNonNull(file.toAbsolutePath().getParent());
    if (!Files.isDirectory(parent)) {
      throw new IOException("there is no folder " + parent);
    }
    Path parts =
        Files.createTempDirectory(
            parent,
            ".backup-",
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    try {
      Manifest manifest = gather(parts, secrets, configuration, progress);
      BackupFile.write(file, manifest, parts);
      return manifest;
    } finally {
      delete(parts);
    }
  }

  private Manifest gather(
      Path parts, Secrets secrets, Map<String, Path> configuration, LongConsumer progress)
      throws IOException {
    Location from = home.ledger();
    Verifier.Report.Sound sound = copyStores(from, parts, progress);
    Map<String, Manifest.Part> listed = new LinkedHashMap<>();
    for (String name : List.of("ledger.db", "ledger.head", "ledger.seal", "accounts.db")) {
      if (Files.exists(parts.resolve(name))) {
        listed.put(name, BackupFile.part(parts.resolve(name)));
      }
    }
    Map<String, byte[]> hidden = new TreeMap<>();
    List<String> leftOut = new ArrayList<>();
    for (String name : files(leftOut)) {
      Path original = home.path().resolve(name);
      if (isPrivate(name)) {
        if (Files.size(original) > PRIVATE_BYTES_MAX) {
          throw new IOException(original + " is too large to be a private key");
        }
        hidden.put(name, Files.readAllBytes(original));
        if (secrets.keys() != Keys.IN_CLEAR) {
          continue;
        }
      }
      copy(original, parts.resolve(name));
      listed.put(name, BackupFile.part(parts.resolve(name)));
    }
    for (var extra : configuration.entrySet()) {
      String name = "config/" + extra.getKey();
      copy(extra.getValue(), parts.resolve(name));
      listed.put(name, BackupFile.part(parts.resolve(name)));
    }
    if (secrets.passphrase().isPresent()) {
      Files.write(
          parts.resolve(BackupFile.SEALED),
          Passphrase.seal(BackupFile.pack(hidden), secrets.passphrase().get(), new SecureRandom()));
      listed.put(BackupFile.SEALED, BackupFile.part(parts.resolve(BackupFile.SEALED)));
    }
    if (listed.size() > BackupFile.FILES_MAX) {
      throw new IOException(home.path() + " holds more than " + BackupFile.FILES_MAX + " files");
    }
    return new Manifest(
        clock.instant(),
        home.path().toString(),
        from instanceof Location.OnFile ? "file" : "postgresql",
        sound.entries(),
        sound.head(),
        secrets.keys(),
        List.copyOf(hidden.keySet()),
        leftOut,
        listed);
  }

  /** The ledger with all that is in its database, and account keys and pools. */
  static Verifier.Report.Sound copyStores(Location from, Path folder, LongConsumer progress) {
    Verifier.Report.Sound sound =
        Backup.copy(from, folder, List.of(GatewayTables.MIGRATIONS), progress);
    Location.OnFile copy = (Location.OnFile) Location.in(folder);
    if (from instanceof Location.OnFile file) {
      Beside.copy(file, copy);
    } else {
      KeyStore.open(copy).close(); // makes its table
      PoolStore.open(copy).close();
      Beside.fill(copy);
    }
    return sound;
  }

  /** The home's other files, relative to it, in order. */
  private List<String> files(List<String> leftOut) throws IOException {
    List<String> names = new ArrayList<>();
    Path root = home.path();
    try (Stream<Path> all = Files.walk(root, DEPTH_MAX, new FileVisitOption[0])) {
      for (Path path : (Iterable<Path>) all.sorted()::iterator) {
        String name = root.relativize(path).toString();
        if (name.isEmpty() || isOfStores(name)) {
          continue;
        }
        Optional<String> not = NOT_COPIED.stream().filter(n -> isIn(name, n)).findFirst();
        if (not.isPresent()) {
          if (!leftOut.contains(not.get())) {
            leftOut.add(not.get());
          }
        } else if (Files.isSymbolicLink(path)) {
          leftOut.add(name + " (a link)");
        } else if (Files.isRegularFile(path) && !name.endsWith(".next")) {
          names.add(name);
        }
      }
    }
    return names;
  }

  private static boolean isIn(String name, String other) {
    return name.equals(other) || name.startsWith(other + "/");
  }

  /** Copied by their stores, or belonging to this process or machine alone. */
  private static boolean isOfStores(String name) {
    return name.matches(
        "(ledger|accounts)\\.db(-wal|-shm|-journal)?|ledger\\.(head|seal|lock|seal\\.next)"
            + "|ledger-postgresql\\.head|doctor\\.probe");
  }

  /** Whether a file holds what nobody else may read: all of {@code keys/}, and tokens. */
  static boolean isPrivate(String name) {
    return name.startsWith("keys/") || name.matches(".*\\.(key|token|password|secret|pem)");
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectories(Objects.requireNonNull(to.getParent()));
    Path unused = Files.copy(from, to);
  }

  static void delete(@Nullable Path folder) throws IOException {
    if (folder == null || !Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : (Iterable<Path>) all.sorted(java.util.Comparator.reverseOrder())::iterator) {
        Files.delete(path);
      }
    }
  }
}
