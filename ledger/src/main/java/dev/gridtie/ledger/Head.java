package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.Optional;

/**
 * How far the database had come, kept beside it: a database that is shorter than its head has lost
 * entries.
 *
 * @param commit how many transactions were committed
 * @param seq the last entry's number
 * @param hash the last entry's hash, hexadecimal
 */
record Head(long commit, long seq, String hash) {
  private static final String MAGIC = "gridtie-head-1";

  Chain chain() {
    return new Chain(seq, HexFormat.of().parseHex(hash));
  }

  private String text() {
    String line = "%s %019d %019d %s".formatted(MAGIC, commit, seq, hash);
    return line + " " + check(line) + "\n";
  }

  private static String check(String line) {
    return HexFormat.of().formatHex(Hashes.sha256(line.getBytes(US_ASCII)), 0, 8);
  }

  /** Writes the head over the one before, in one write of the same length. */
  void writeTo(FileChannel channel) throws IOException {
    channel.write(ByteBuffer.wrap(text().getBytes(US_ASCII)), 0);
  }

  static FileChannel open(Path file) throws IOException {
    return FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
  }

  /** Reads a head; empty where it is missing or damaged. */
  static Optional<Head> read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    String text = new String(Files.readAllBytes(file), US_ASCII);
    String[] words = text.split(" ", -1);
    if (words.length != 5 || !words[0].equals(MAGIC)) {
      return Optional.empty();
    }
    try {
      Head head = new Head(Long.parseLong(words[1]), Long.parseLong(words[2]), words[3]);
      return head.text().equals(text) ? Optional.of(head) : Optional.empty();
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }
}
