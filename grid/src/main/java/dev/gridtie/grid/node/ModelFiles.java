package dev.gridtie.grid.node;

import dev.gridtie.base.Hashes;
import dev.gridtie.grid.model.Variant;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/**
 * Models' files on this machine, by content. What is missing is fetched in pieces, each checked by
 * itself, from whoever has it; what was fetched before a stop is kept. Files that were not used for
 * longest go first where room is needed. Used by one thread.
 */
public final class ModelFiles {
  /** How often a piece is tried, at all sources together. */
  private static final int TRIES_MAX = 8;

  private static final Duration PIECE_PATIENCE = Duration.ofMinutes(5);
  private static final long PAUSE_MS = 500;
  private static final String SUFFIX = ".gguf";
  private static final String PART = ".part";

  private final Path folder;
  private final long bytesMax;
  private final Bandwidth bandwidth;
  private final HttpClient http;
  private final InstantSource clock;

  /**
   * Where a file may be had.
   *
   * @param url of the file
   * @param token that opens it
   */
  public record Source(URI url, String token) {}

  /**
   * @param bytesMax that all files may take
   * @param bandwidth for what is fetched, and what is given to others
   */
  ModelFiles(
      Path folder, long bytesMax, Bandwidth bandwidth, HttpClient http, InstantSource clock) {
    this.folder = folder;
    this.bytesMax = bytesMax;
    this.bandwidth = bandwidth;
    this.http = http;
    this.clock = clock;
  }

  public long bytesMax() {
    return bytesMax;
  }

  /** A file that is here and whole. */
  public Optional<Path> find(String sha256) {
    Path file = folder.resolve(sha256 + SUFFIX);
    return Files.isRegularFile(file) ? Optional.of(file) : Optional.empty();
  }

  /** Gets a file: it is here, or is fetched. */
  public Path get(Variant variant, List<Source> sources, Set<String> inUse, LongConsumer progress)
      throws IOException, InterruptedException {
    Optional<Path> here = find(variant.sha256());
    if (here.isEmpty()) {
      Files.createDirectories(folder);
      makeRoom(variant, inUse);
      here = Optional.of(fetch(variant, sources, progress));
    }
    Files.setLastModifiedTime(here.get(), FileTime.from(clock.instant()));
    return here.get();
  }

  /** Lets files go, the one that was not used for longest first. */
  private void makeRoom(Variant variant, Set<String> inUse) throws IOException {
    if (variant.bytes() > bytesMax) {
      throw new IOException(
          "a file of "
              + variant.bytes()
              + " bytes does not fit into the "
              + bytesMax
              + " that models may take; see --disk");
    }
    List<Path> files = new ArrayList<>();
    try (Stream<Path> all = Files.list(folder)) {
      all.filter(f -> f.toString().endsWith(SUFFIX) || f.toString().endsWith(PART))
          .filter(f -> !f.getFileName().toString().equals(variant.sha256() + PART))
          .forEach(files::add);
    }
    files.sort(Comparator.comparing(ModelFiles::used));
    long taken = 0;
    for (Path file : files) {
      taken += Files.size(file);
    }
    for (Path file : files) {
      String name = file.getFileName().toString();
      if (taken + variant.bytes() > bytesMax
          && !inUse.contains(name.substring(0, name.indexOf('.')))) {
        taken -= Files.size(file);
        Files.delete(file);
      }
    }
    if (taken + variant.bytes() > bytesMax) {
      throw new IOException("models that are in use leave no room for another; see --disk");
    }
    if (Files.getFileStore(folder).getUsableSpace() < variant.bytes()) {
      throw new IOException(
          "the disk of " + folder + " has no room for " + variant.bytes() + " bytes");
    }
  }

  private static FileTime used(Path file) {
    try {
      return Files.getLastModifiedTime(file);
    } catch (IOException e) {
      return FileTime.fromMillis(0);
    }
  }

  private Path fetch(Variant variant, List<Source> sources, LongConsumer progress)
      throws IOException, InterruptedException {
    if (sources.isEmpty()) {
      throw new IOException("nobody is connected who could have the file");
    }
    Path part = folder.resolve(variant.sha256() + PART);
    try (FileChannel out =
        FileChannel.open(
            part, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      int have = (int) Math.min(variant.pieces().size(), out.size() / variant.pieceBytes());
      for (int piece = 0; piece < variant.pieces().size(); piece++) {
        boolean kept = piece < have && isRight(variant, piece, read(out, variant, piece));
        if (!kept) {
          write(out, variant.offset(piece), piece(variant, piece, sources));
        }
        progress.accept(variant.offset(piece) + variant.length(piece));
      }
      out.truncate(variant.bytes());
      out.force(true);
    }
    requireWhole(part, variant);
    Path whole = folder.resolve(variant.sha256() + SUFFIX);
    Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE);
    return whole;
  }

  private static byte[] read(FileChannel in, Variant variant, int piece) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(variant.length(piece));
    while (buffer.hasRemaining()) {
      if (in.read(buffer, variant.offset(piece) + buffer.position()) < 0) {
        break;
      }
    }
    return buffer.array();
  }

  private static void write(FileChannel out, long at, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      out.write(buffer, at + buffer.position());
    }
  }

  private static boolean isRight(Variant variant, int piece, byte[] bytes) {
    return HexFormat.of().formatHex(Hashes.sha256(bytes)).equals(variant.pieces().get(piece));
  }

  /** One piece, from the first source that gives the right bytes. */
  private byte[] piece(Variant variant, int piece, List<Source> sources)
      throws IOException, InterruptedException {
    String why = "";
    for (int i = 0; i < TRIES_MAX; i++) {
      Source source = sources.get(i % sources.size());
      try {
        bandwidth.pass(variant.length(piece));
        byte[] bytes = ask(source, variant.offset(piece), variant.length(piece));
        if (isRight(variant, piece, bytes)) {
          return bytes;
        }
        why = source.url() + " gives other bytes than the model's";
      } catch (IOException e) {
        why = source.url() + ": " + e.getMessage();
      }
      Thread.sleep(PAUSE_MS << Math.min(i, 4));
    }
    throw new IOException("a piece of the model could not be fetched: " + why);
  }

  private byte[] ask(Source source, long from, int length)
      throws IOException, InterruptedException {
    HttpResponse<byte[]> answer =
        http.send(
            HttpRequest.newBuilder(source.url())
                .timeout(PIECE_PATIENCE)
                .header("Range", "bytes=" + from + "-" + (from + length - 1))
                .header("Authorization", "Bearer " + source.token())
                .build(),
            info -> new Bounded(length));
    if (answer.statusCode() != 206) {
      throw new IOException("it says " + answer.statusCode());
    }
    return answer.body();
  }

  /** Reads so many bytes and not one more. */
  private static final class Bounded implements HttpResponse.BodySubscriber<byte[]> {
    private final HttpResponse.BodySubscriber<byte[]> to =
        HttpResponse.BodySubscribers.ofByteArray();
    private final int max;
    private long got;

    Bounded(int max) {
      this.max = max;
    }

    @Override
    public java.util.concurrent.CompletionStage<byte[]> getBody() {
      return to.getBody();
    }

    @Override
    public void onSubscribe(java.util.concurrent.Flow.Subscription subscription) {
      to.onSubscribe(subscription);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
      got += buffers.stream().mapToLong(ByteBuffer::remaining).sum();
      if (got > max) {
        to.onError(new IOException("it gives more than was asked"));
      } else {
        to.onNext(buffers);
      }
    }

    @Override
    public void onError(Throwable error) {
      to.onError(error);
    }

    @Override
    public void onComplete() {
      to.onComplete();
    }
  }

  private static void requireWhole(Path part, Variant variant) throws IOException {
    var digest = Hashes.newSha256();
    try (var in = Files.newInputStream(part)) {
      byte[] buffer = new byte[1 << 16];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
      }
    }
    if (!HexFormat.of().formatHex(digest.digest()).equals(variant.sha256())) {
      Files.delete(part);
      throw new IOException("the pieces are right and the whole is not: the manifest is wrong");
    }
  }

  /** A part of a file that is here, for another node; empty where it is not. */
  public byte[] part(String sha256, long offset, int length)
      throws IOException, InterruptedException {
    Optional<Path> file = find(sha256);
    if (file.isEmpty()) {
      return new byte[0];
    }
    try (FileChannel in = FileChannel.open(file.get(), StandardOpenOption.READ)) {
      ByteBuffer buffer = ByteBuffer.allocate((int) Math.clamp(in.size() - offset, 0, length));
      while (buffer.hasRemaining()) {
        if (in.read(buffer, offset + buffer.position()) < 0) {
          break;
        }
      }
      bandwidth.pass(buffer.capacity());
      return buffer.array();
    }
  }
}
