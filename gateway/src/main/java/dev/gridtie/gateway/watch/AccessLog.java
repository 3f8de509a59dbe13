package dev.gridtie.gateway.watch;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import tools.jackson.databind.node.ObjectNode;

/**
 * One line of JSON for each request. Written behind the backs of those who are served: where the
 * disk is slower than they are, lines are dropped and counted, and nobody waits. Two files of a
 * bounded size are kept.
 */
public final class AccessLog implements Watch, AutoCloseable {
  private static final int WAITING_MAX = 16_384;
  private static final long FILE_BYTES_MAX = 64L * 1024 * 1024;

  private static final Duration LINGER = Duration.ofMillis(100);

  private final Path file;
  private final BlockingQueue<ObjectNode> waiting = new ArrayBlockingQueue<>(WAITING_MAX);
  private final AtomicLong dropped = new AtomicLong();
  private final Thread thread;
  private volatile boolean closed;

  public AccessLog(Path file) {
    this.file = file;
    this.thread = Thread.ofPlatform().name("access-log").daemon(true).start(this::run);
  }

  @Override
  public void over(Seen seen) {
    add(line(seen));
  }

  @Override
  public void aside(Aside aside) {
    ObjectNode json = Json.object();
    json.put("time", aside.began().toString());
    json.put("method", aside.method());
    json.put("path", aside.path());
    json.put("status", aside.status());
    if (!aside.code().isEmpty()) {
      json.put("code", aside.code());
    }
    json.put("total_ms", aside.totalMs());
    add(json);
  }

  private void add(ObjectNode line) {
    if (!waiting.offer(line)) {
      dropped.incrementAndGet();
    }
  }

  private void run() {
    List<ObjectNode> batch = new ArrayList<>();
    while (!closed || !waiting.isEmpty()) {
      try {
        ObjectNode first = waiting.poll(200, TimeUnit.MILLISECONDS);
        if (first != null) {
          batch.add(first);
          if (!closed) {
            Thread.sleep(LINGER); // many lines for one opening of the file
          }
          waiting.drainTo(batch);
          write(batch);
        }
      } catch (IOException e) {
        dropped.addAndGet(batch.size());
      } catch (InterruptedException e) {
        // Closing: what waits is written first.
      }
      batch.clear();
    }
  }

  private void write(List<ObjectNode> batch) throws IOException {
    if (Files.exists(file) && Files.size(file) > FILE_BYTES_MAX) {
      Path older = file.resolveSibling(file.getFileName() + ".1");
      Files.move(file, older, StandardCopyOption.REPLACE_EXISTING);
    }
    try (BufferedWriter out =
        Files.newBufferedWriter(
            file, UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
      for (ObjectNode line : batch) {
        out.write(Json.write(line));
        out.write('\n');
      }
      long lost = dropped.getAndSet(0);
      if (lost > 0) {
        out.write(Json.write(Json.object().put("dropped", lost)));
        out.write('\n');
      }
    }
  }

  private static ObjectNode line(Seen seen) {
    ObjectNode json = Json.object();
    json.put("time", seen.began().toString());
    json.put("id", seen.id());
    json.put("path", seen.path());
    json.put("account", seen.account());
    json.put("dialect", seen.dialect());
    json.put("model", seen.model());
    json.put("provider", seen.provider());
    json.put("upstream", seen.upstreamDialect());
    json.put("streamed", seen.streamed());
    json.put("outcome", seen.outcome());
    json.put("finish", seen.finish());
    json.put("input", seen.usage().input());
    json.put("cached", seen.usage().cacheRead());
    json.put("output", seen.usage().output());
    if (seen.usage().estimated()) {
      json.put("estimated", true);
    }
    json.put("usd", seen.cost().dollars());
    json.put("first_byte_ms", seen.firstByteMs());
    json.put("total_ms", seen.totalMs());
    return json;
  }

  /** Writes what waits, and ends. */
  @Override
  public void close() {
    closed = true;
    try {
      thread.join(Duration.ofSeconds(2));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
