package dev.gridtie.grid.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;

/**
 * The head of a GGUF file: its key-values and the sizes of its tensors (GGUF, version 2 and 3).
 * Every length is bounded, for a file may come from anybody.
 */
public final class Gguf {
  private static final int MAGIC = 0x46554747; // "GGUF", little-endian
  private static final long KEYS_MAX = 1 << 16;
  private static final long TENSORS_MAX = 1 << 20;
  private static final long TEXT_BYTES_MAX = 1 << 24;
  private static final long LIST_MAX = 1 << 24;
  private static final int DIMENSIONS_MAX = 8;
  private static final int TYPE_TEXT = 8;
  private static final int TYPE_LIST = 9;
  private static final int[] TYPE_BYTES = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

  /** A piece is fetched in one request. */
  private static final int PIECE_BYTES = 4 << 20;

  private final Map<String, Object> values = new HashMap<>();
  private long parameters;
  private long expertParameters;

  private Gguf() {}

  /**
   * Reads a file's head.
   *
   * @throws IOException where it is no GGUF
   */
  public static Gguf read(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      Gguf gguf = new Gguf();
      gguf.read(new Bytes(channel));
      return gguf;
    } catch (ArithmeticException e) {
      throw new IOException("a tensor of the file is larger than any", e);
    }
  }

  private void read(Bytes in) throws IOException {
    if (in.u32() != MAGIC) {
      throw new IOException("this is no GGUF file");
    }
    int version = in.u32();
    if (version < 2 || version > 3) {
      throw new IOException("GGUF version " + version + " is not known");
    }
    long tensors = bounded(in.u64(), TENSORS_MAX, "tensors");
    long keys = bounded(in.u64(), KEYS_MAX, "keys");
    for (long i = 0; i < keys; i++) {
      String key = in.text();
      values.put(key, value(in, in.u32()));
    }
    for (long i = 0; i < tensors; i++) {
      tensor(in);
    }
  }

  private void tensor(Bytes in) throws IOException {
    String name = in.text();
    long dimensions = bounded(in.u32(), DIMENSIONS_MAX, "dimensions");
    long size = 1;
    for (long d = 0; d < dimensions; d++) {
      size = Math.multiplyExact(size, bounded(in.u64(), 1L << 40, "a dimension"));
    }
    in.u32(); // type
    in.u64(); // offset
    parameters += size;
    expertParameters += name.contains("_exps") ? size : 0;
  }

  /** Lists are passed over: nothing that is asked for here is one, but for numbers by layer. */
  private static Object value(Bytes in, int type) throws IOException {
    if (type == TYPE_TEXT) {
      return in.text();
    }
    if (type != TYPE_LIST) {
      return number(in, type);
    }
    int of = in.u32();
    long length = bounded(in.u64(), LIST_MAX, "a list's length");
    long most = 0;
    for (long i = 0; i < length; i++) {
      if (of == TYPE_TEXT) {
        in.skip(bounded(in.u64(), TEXT_BYTES_MAX, "a text's length"));
      } else {
        most = Math.max(most, number(in, of));
      }
    }
    return most;
  }

  private static long number(Bytes in, int type) throws IOException {
    if (type < 0 || type >= TYPE_BYTES.length || TYPE_BYTES[type] == 0) {
      throw new IOException("the file has a value of a type that is not known");
    }
    return in.little(TYPE_BYTES[type]);
  }

  private static long bounded(long value, long max, String what) throws IOException {
    if (value < 0 || value > max) {
      throw new IOException("the file says " + what + " are " + value);
    }
    return value;
  }

  private String text(String key) {
    return values.get(key) instanceof String text ? text : "";
  }

  private long number(String key, long otherwise) {
    return values.get(key) instanceof Long number && number > 0 ? number : otherwise;
  }

  /**
   * The manifest of a model from its files, all of them of the same model.
   *
   * @param files by quantisation
   * @param progress hears bytes hashed
   * @throws IOException where a file is no GGUF, or of another shape than the first
   */
  public static Manifest manifest(String id, Map<String, Path> files, LongConsumer progress)
      throws IOException {
    List<Variant> variants = new ArrayList<>();
    Gguf first = null;
    for (var each : files.entrySet()) {
      Gguf gguf = read(each.getValue());
      if (first != null && !first.shape().equals(gguf.shape())) {
        throw new IOException(each.getValue() + " is of another model than the first file");
      }
      first = first == null ? gguf : first;
      variants.add(variant(each.getKey(), each.getValue(), progress));
    }
    if (first == null) {
      throw new IOException("a model has at least one file");
    }
    return first.manifest(id, variants);
  }

  private List<Object> shape() {
    String arch = text("general.architecture");
    return List.of(
        arch,
        number(arch + ".block_count", 0),
        number(arch + ".embedding_length", 0),
        text("tokenizer.chat_template"));
  }

  private Manifest manifest(String id, List<Variant> variants) throws IOException {
    String arch = text("general.architecture");
    long width = number(arch + ".embedding_length", 0);
    long heads = number(arch + ".attention.head_count", 1);
    long keyHeads = number(arch + ".attention.head_count_kv", heads);
    long headWidth = number(arch + ".attention.key_length", width / heads);
    long valueWidth = number(arch + ".attention.value_length", headWidth);
    long experts = number(arch + ".expert_count", 0);
    long used = number(arch + ".expert_used_count", 0);
    long idle = experts == 0 ? 0 : expertParameters / experts * Math.max(0, experts - used);
    String licence = text("general.license");
    byte[] template = Hashes.sha256(text("tokenizer.chat_template").getBytes(UTF_8));
    try {
      return new Manifest(
          id,
          licence.isEmpty() ? "unknown" : licence,
          HexFormat.of().formatHex(template),
          (int) number(arch + ".context_length", 0),
          parameters - idle,
          parameters,
          (int) number(arch + ".block_count", 0),
          (int) (heads * headWidth),
          (int) (keyHeads * (headWidth + valueWidth)),
          variants);
    } catch (IllegalArgumentException e) {
      throw new IOException("the file does not say enough of its model: " + e.getMessage(), e);
    }
  }

  private static Variant variant(String quantization, Path file, LongConsumer progress)
      throws IOException {
    MessageDigest whole = Hashes.newSha256();
    List<String> pieces = new ArrayList<>();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      ByteBuffer buffer = ByteBuffer.allocate(PIECE_BYTES);
      long bytes = channel.size();
      for (long at = 0; at < bytes; at += PIECE_BYTES) {
        buffer.clear().limit((int) Math.min(PIECE_BYTES, bytes - at));
        fill(channel, buffer);
        whole.update(buffer.array(), 0, buffer.limit());
        MessageDigest piece = Hashes.newSha256();
        piece.update(buffer.array(), 0, buffer.limit());
        pieces.add(HexFormat.of().formatHex(piece.digest()));
        progress.accept(buffer.limit());
      }
      return new Variant(
          quantization, HexFormat.of().formatHex(whole.digest()), bytes, PIECE_BYTES, pieces);
    }
  }

  private static void fill(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        throw new EOFException("the file ends too early");
      }
    }
  }

  /** Reads little-endian values. */
  private static final class Bytes {
    private final FileChannel channel;
    private final ByteBuffer buffer =
        ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);

    Bytes(FileChannel channel) {
      this.channel = channel;
    }

    private void need(int bytes) throws IOException {
      if (buffer.remaining() >= bytes) {
        return;
      }
      buffer.compact();
      while (buffer.position() < bytes) {
        if (channel.read(buffer) < 0) {
          throw new EOFException("the file ends within its head");
        }
      }
      buffer.flip();
    }

    int u32() throws IOException {
      need(4);
      return buffer.getInt();
    }

    long u64() throws IOException {
      need(8);
      return buffer.getLong();
    }

    long little(int bytes) throws IOException {
      need(bytes);
      long value = 0;
      for (int i = 0; i < bytes; i++) {
        value |= (buffer.get() & 0xffL) << (8 * i);
      }
      return value;
    }

    String text() throws IOException {
      byte[] bytes = new byte[(int) bounded(u64(), TEXT_BYTES_MAX, "a text's length")];
      for (int at = 0; at < bytes.length; ) {
        need(1);
        int n = Math.min(buffer.remaining(), bytes.length - at);
        buffer.get(bytes, at, n);
        at += n;
      }
      return new String(bytes, UTF_8);
    }

    void skip(long bytes) throws IOException {
      for (long left = bytes; left > 0; ) {
        need(1);
        int n = (int) Math.min(buffer.remaining(), left);
        buffer.position(buffer.position() + n);
        left -= n;
      }
    }
  }
}
