package dev.gridtie.ledger.log;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A piece of the log as it is published: up to 256 hashes beside each other, or the entries of that
 * many leaves (C2SP tlog-tiles).
 *
 * @param level in eights of tree levels; 0 has the leaves' hashes; -1 has the entries themselves
 * @param index from the left
 * @param width how many, from 1 to 256
 */
public record Tile(int level, long index, int width) {
  /** A full tile's hashes. */
  public static final int WIDTH = 256;

  static final int LEVELS = 8;

  /** In place of a level: the entries. */
  public static final int ENTRIES = -1;

  private static final int LEVEL_MAX = 5;
  private static final int PATH_LENGTH_MAX = 64;
  private static final Pattern PATH =
      Pattern.compile("tile/(entries|[0-9])/((?:x[0-9]{3}/)*[0-9]{3})(?:\\.p/([1-9][0-9]{0,2}))?");

  /** The tile of a path; empty where it names none. */
  public static Optional<Tile> of(String path) {
    Matcher m = PATH.matcher(path);
    if (path.length() > PATH_LENGTH_MAX || !m.matches()) {
      return Optional.empty();
    }
    int level = m.group(1).equals("entries") ? ENTRIES : Integer.parseInt(m.group(1));
    String digits = m.group(2).replace("x", "").replace("/", "");
    if (digits.length() > 18) {
      return Optional.empty();
    }
    int width = m.group(3) == null ? WIDTH : Integer.parseInt(m.group(3));
    Tile tile = new Tile(level, Long.parseLong(digits), width);
    // One path for each tile: no leading zeros, no width of a full one.
    return level <= LEVEL_MAX && width <= WIDTH && tile.path().equals(path)
        ? Optional.of(tile)
        : Optional.empty();
  }

  /** Where it is published, beside {@code checkpoint}. */
  public String path() {
    StringBuilder number = new StringBuilder("%03d".formatted(index % 1000));
    for (long rest = index / 1000; rest > 0; rest /= 1000) {
      number.insert(0, "x%03d/".formatted(rest % 1000));
    }
    return "tile/"
        + (level == ENTRIES ? "entries" : level)
        + "/"
        + number
        + (width == WIDTH ? "" : ".p/" + width);
  }

  /** Whether a log of so many entries has it. */
  boolean isIn(long size) {
    long each = 1L << LEVELS * Math.max(level, 0); // leaves under one hash
    return index <= size / each / WIDTH && index * WIDTH + width <= size / each;
  }

  /** An entry in a bundle: its length in two bytes, and itself. */
  static byte[] bundled(String entry) {
    byte[] bytes = entry.getBytes(StandardCharsets.UTF_8);
    if (bytes.length > 0xffff) {
      throw new IllegalArgumentException("an entry of the log has at most 65,535 bytes");
    }
    byte[] out = new byte[2 + bytes.length];
    out[0] = (byte) (bytes.length >> 8);
    out[1] = (byte) bytes.length;
    System.arraycopy(bytes, 0, out, 2, bytes.length);
    return out;
  }

  /** The root of a subtree within a tile's hashes. */
  static byte[] subtree(byte[] hashes, int levels, int index) {
    if (levels == 0) {
      int at = index * Merkle.HASH_BYTES;
      return Arrays.copyOfRange(hashes, at, at + Merkle.HASH_BYTES);
    }
    return Merkle.node(
        subtree(hashes, levels - 1, 2 * index), subtree(hashes, levels - 1, 2 * index + 1));
  }
}
