package dev.gridtie.gateway.nodes;

import dev.gridtie.grid.fleet.Grid;
import dev.gridtie.grid.link.Message.FromGateway.Want;
import dev.gridtie.grid.model.Variant;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Base64;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Models' files for nodes: from this gateway's disk, or else from a node of the same pool that has
 * them, whose bytes pass through here. Safe for use by many threads.
 */
public final class GridFiles {
  /** So much is given at once. */
  private static final long RANGE_BYTES_MAX = Variant.PIECE_BYTES_MAX;

  private final Grid grid;
  private final Map<String, Path> files;
  private final AtomicLong passedOn = new AtomicLong();

  /**
   * @param files by SHA-256, those that are here
   */
  public GridFiles(Grid grid, Map<String, Path> files) {
    this.grid = grid;
    this.files = Map.copyOf(files);
  }

  /** The file that a token opens; empty where it opens none of that name. */
  public Optional<Variant> opened(String token, String sha256) {
    return grid.poolOfToken(token).flatMap(pool -> grid.file(pool, sha256));
  }

  /** Whether a range may be asked for. */
  public static boolean isRange(Variant file, long from, long to) {
    return from >= 0 && from <= to && to < file.bytes() && to - from < RANGE_BYTES_MAX;
  }

  /** Hears parts of a file, in order. */
  public interface Out {
    void write(byte[] bytes) throws IOException, InterruptedException;
  }

  /**
   * Gives a range, both ends included; blocks.
   *
   * @throws IOException where nobody has it
   */
  public void give(String token, Variant file, long from, long to, Out out)
      throws IOException, InterruptedException {
    Path here = files.get(file.sha256());
    String pool = grid.poolOfToken(token).orElseThrow(() -> new IOException("the node has left"));
    try (FileChannel in = here == null ? null : FileChannel.open(here, StandardOpenOption.READ)) {
      for (long at = from; at <= to; ) {
        int length = (int) Math.min(Want.LENGTH_MAX, to - at + 1);
        byte[] part = in == null ? passed(pool, file, at, length) : read(in, at, length);
        out.write(part);
        at += part.length;
      }
    }
  }

  private byte[] passed(String pool, Variant file, long at, int length) throws IOException {
    try {
      String base64 = grid.part(pool, file.sha256(), at, length).join();
      byte[] bytes = Base64.getDecoder().decode(base64);
      if (bytes.length != length) {
        throw new IOException("a node has given a part of another length");
      }
      passedOn.addAndGet(length);
      return bytes;
    } catch (CompletionException | IllegalArgumentException e) {
      throw new IOException("nobody who is connected gives this file", e);
    }
  }

  private static byte[] read(FileChannel in, long at, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining()) {
      if (in.read(buffer, at + buffer.position()) < 0) {
        throw new IOException("the file is shorter than its manifest says");
      }
    }
    return buffer.array();
  }

  /** Bytes that came from nodes. */
  public long passedOn() {
    return passedOn.get();
  }
}
