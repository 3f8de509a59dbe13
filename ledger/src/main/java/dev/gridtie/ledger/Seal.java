package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Optional;

/**
 * Hashes of the database file's pages, kept beside it. The chain proves the entries; the seal also
 * covers every other byte of the file: indexes, other tables, free space. The file changes only
 * when the write-ahead log is carried over into it, and then it is sealed anew.
 */
final class Seal {
  static final int PAGE_BYTES = 4096;
  private static final String MAGIC = "gridtie-seal-1";
  private static final int HASH_BYTES = 16;

  private Seal() {}

  static Path path(Path database) {
    return database.resolveSibling("ledger.seal");
  }

  /** Seals the file as it is now, durably and in one step. */
  static void write(Path database) throws IOException {
    Path next = database.resolveSibling("ledger.seal.next");
    Files.writeString(next, compute(database), US_ASCII);
    try (FileChannel channel = FileChannel.open(next, StandardOpenOption.WRITE)) {
      channel.force(true);
    }
    Files.move(
        next, path(database), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** Takes the seal off, before the file is changed. */
  static void lift(Path database) throws IOException {
    Files.deleteIfExists(path(database));
  }

  /** What is wrong with the file against its seal; empty where nothing is. */
  static Optional<String> check(Path database) throws IOException {
    if (!Files.exists(path(database))) {
      return Optional.of("the seal is missing: ledger.seal");
    }
    String sealed = new String(Files.readAllBytes(path(database)), US_ASCII);
    String actual = compute(database);
    if (sealed.equals(actual)) {
      return Optional.empty();
    }
    String[] before = sealed.split("\n", -1);
    String[] now = actual.split("\n", -1);
    if (before.length != now.length) {
      return Optional.of(
          "the file has "
              + (now.length - 3)
              + " pages, and was sealed with "
              + (before.length - 3));
    }
    for (int i = 0; i < now.length - 2; i++) {
      if (!before[i].equals(now[i])) {
        return Optional.of(
            i == 0
                ? "the seal's first line is not one of ours"
                : "page "
                    + i
                    + " (bytes "
                    + (long) (i - 1) * PAGE_BYTES
                    + " on) was changed after it was sealed");
      }
    }
    return Optional.of("the seal itself was changed");
  }

  private static String compute(Path database) throws IOException {
    StringBuilder out = new StringBuilder(MAGIC).append('\n');
    byte[] page = new byte[PAGE_BYTES];
    try (InputStream in = Files.newInputStream(database)) {
      int read = in.readNBytes(page, 0, PAGE_BYTES);
      while (read > 0) {
        byte[] hash = Hashes.sha256(read == PAGE_BYTES ? page : Arrays.copyOf(page, read));
        out.append(HexFormat.of().formatHex(hash, 0, HASH_BYTES)).append('\n');
        read = in.readNBytes(page, 0, PAGE_BYTES);
      }
    }
    byte[] all = Hashes.sha256(out.toString().getBytes(US_ASCII));
    return out.append(HexFormat.of().formatHex(all)).append('\n').toString();
  }
}
