package dev.gridtie.x402.facilitator;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A journal in a file, a line of JSON for each step, forced to the disk. What has ended long ago is
 * left out when the file is opened or has grown. State: the latest line of each payment, guarded by
 * this object.
 */
public final class FileJournal implements SettlementJournal {
  /** How long the end of a payment is remembered: longer than any authorisation is valid. */
  private static final Duration REMEMBERED = Duration.ofDays(7);

  /** How many steps may stand in the file for each payment that is remembered. */
  private static final int STEPS_MAX = 8;

  private static final int STEPS_MIN = 10_000;

  private final Path file;
  private final InstantSource clock;
  private final FileChannel lockChannel;
  private final Map<String, Line> lines = new LinkedHashMap<>();
  private FileChannel channel;
  private long steps;

  /**
   * Opens a journal, for this process alone.
   *
   * @throws IOException where another process has it, or it cannot be read
   */
  public FileJournal(Path file, InstantSource clock) throws IOException {
    this.file = file;
    this.clock = clock;
    this.lockChannel =
        FileChannel.open(
            file.resolveSibling(file.getFileName() + ".lock"),
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE);
    if (!isOurs(lockChannel)) {
      lockChannel.close();
      throw new IOException("another facilitator uses " + file);
    }
    read();
    this.channel = compact();
  }

  private static boolean isOurs(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  private void read() throws IOException {
    if (!Files.exists(file)) {
      return;
    }
    String text = Files.readString(file, UTF_8);
    int whole = text.lastIndexOf('\n') + 1; // what follows was being written at the end
    for (String line : text.substring(0, whole).split("\n", -1)) {
      if (!line.isEmpty()) {
        take(line);
      }
    }
  }

  private void take(String line) throws IOException {
    try {
      JsonNode json = Json.parse(line.getBytes(UTF_8));
      String key = String.valueOf(Json.text(json, "key"));
      if (json.path("forgotten").asBoolean(false)) {
        lines.remove(key);
      } else {
        lines.put(key, line(key, json));
      }
    } catch (Json.MalformedJsonException | MalformedPaymentException e) {
      throw new IOException(file + " holds a line that cannot be read: " + e.getMessage());
    }
  }

  private static Line line(String key, JsonNode json) throws MalformedPaymentException {
    JsonNode message = json.path("payment");
    JsonNode sent = json.path("sent");
    JsonNode result = json.path("result");
    return new Line(
        key,
        String.valueOf(Json.text(json, "fingerprint")),
        message.path("x402Version").asInt(2) == 1
            ? PaymentPayload.fromV1Json(message)
            : PaymentPayload.fromJson(message),
        PaymentRequirements.fromJson(json.path("requirements")),
        sent.isObject()
            ? Optional.of(
                new SignedTransaction(
                    sent.path("hash").asString(),
                    Hex.decode(sent.path("raw").asString()),
                    new BigInteger(sent.path("nonce").asString()),
                    sent.path("since").asLong()))
            : Optional.empty(),
        result instanceof ObjectNode object ? Optional.of(object) : Optional.empty(),
        json.path("time").asLong());
  }

  private static ObjectNode json(Line line) {
    ObjectNode json = Json.object();
    json.put("key", line.key());
    json.put("fingerprint", line.fingerprint());
    json.set("payment", line.payment().raw());
    json.set("requirements", line.requirements().toJson());
    line.sent()
        .ifPresent(
            s ->
                json.putObject("sent")
                    .put("hash", s.hash())
                    .put("raw", Hex.encode(s.raw()))
                    .put("nonce", s.nonce().toString())
                    .put("since", s.sinceBlock()));
    line.result().ifPresent(r -> json.set("result", r));
    json.put("time", line.epochSecond());
    return json;
  }

  /** Writes the latest lines anew, in one step. */
  private FileChannel compact() throws IOException {
    long before = clock.instant().minus(REMEMBERED).getEpochSecond();
    lines.values().removeIf(l -> l.epochSecond() < before && !l.isOpen());
    Path next = file.resolveSibling(file.getFileName() + ".next");
    StringBuilder text = new StringBuilder();
    lines.values().forEach(l -> text.append(Json.write(json(l))).append('\n'));
    try (FileChannel out =
        FileChannel.open(
            next,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      writeAll(out, text.toString());
    }
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    steps = lines.size();
    return FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.APPEND);
  }

  private static void writeAll(FileChannel out, String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(UTF_8));
    while (bytes.hasRemaining()) {
      int unused = out.write(bytes);
    }
    out.force(true);
  }

  private void append(ObjectNode json) throws IOException {
    writeAll(channel, Json.write(json) + "\n");
    steps++;
    if (steps > Math.max(STEPS_MIN, (long) STEPS_MAX * lines.size())) {
      channel.close();
      channel = compact();
    }
  }

  @Override
  public synchronized Optional<Line> find(String key) {
    return Optional.ofNullable(lines.get(key));
  }

  @Override
  public synchronized List<Line> open() {
    return new ArrayList<>(lines.values().stream().filter(Line::isOpen).toList());
  }

  @Override
  public synchronized void write(Line line) throws IOException {
    append(json(line));
    lines.put(line.key(), line);
  }

  @Override
  public synchronized void forget(String key) throws IOException {
    lines.remove(key);
    append(Json.object().put("key", key).put("forgotten", true));
  }

  @Override
  public synchronized void close() throws IOException {
    channel.close();
    lockChannel.close();
  }
}
