package dev.gridtie.grid.model;

import java.util.List;

/**
 * A model's weights in one quantisation: one GGUF, named by its content.
 *
 * @param quantization as its maker calls it, such as {@code Q4_K_M}
 * @param sha256 of the file, hexadecimal
 * @param bytes of the file
 * @param pieceBytes of each piece but the last: a piece is fetched and checked by itself
 * @param pieces their SHA-256, hexadecimal, in order
 */
public record Variant(
    String quantization, String sha256, long bytes, int pieceBytes, List<String> pieces) {
  /** The largest file that is believed: 2 TiB. */
  public static final long BYTES_MAX = 1L << 41;

  public static final int PIECE_BYTES_MIN = 1 << 16;
  public static final int PIECE_BYTES_MAX = 1 << 26;

  /** The most pieces that a file may have. */
  public static final int PIECES_MAX = 1 << 17;

  public Variant {
    pieces = List.copyOf(pieces);
    Manifest.require(quantization.matches("[A-Za-z0-9_.-]{1,32}"), "quantization is a short name");
    Manifest.require(isSha256(sha256), "sha256 is 64 hexadecimal digits");
    Manifest.require(bytes > 0 && bytes <= BYTES_MAX, "bytes is a file's size");
    Manifest.require(
        pieceBytes >= PIECE_BYTES_MIN && pieceBytes <= PIECE_BYTES_MAX,
        "pieceBytes is from 64 KiB to 64 MiB");
    Manifest.require(
        pieces.size() <= PIECES_MAX && pieces.size() == Math.ceilDiv(bytes, (long) pieceBytes),
        "pieces are as many as the file has");
    Manifest.require(
        pieces.stream().allMatch(Variant::isSha256), "a piece is named by its SHA-256");
  }

  static boolean isSha256(String text) {
    return text.matches("[0-9a-f]{64}");
  }

  /** Where a piece begins in the file. */
  public long offset(int piece) {
    return (long) piece * pieceBytes;
  }

  /** How long a piece is. */
  public int length(int piece) {
    return (int) Math.min(pieceBytes, bytes - offset(piece));
  }
}
