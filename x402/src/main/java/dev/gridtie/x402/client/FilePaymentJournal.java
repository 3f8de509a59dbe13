package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A journal in a file that only its owner can read, for all processes that share it: locked while
 * it changes, and forced to the disk before a payment is sent.
 */
public final class FilePaymentJournal implements PaymentJournal {
  private final Path file;

  public FilePaymentJournal(Path file) {
    this.file = file;
  }

  private interface Change {
    void make(ObjectNode entries);
  }

  private synchronized void change(Change change) throws IOException {
    try (FileChannel channel =
            FileChannel.open(
                file.resolveSibling(file.getFileName() + ".lock"),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        FileLock lock = channel.lock()) {
      ObjectNode entries = read();
      change.make(entries);
      if (lock.isValid()) {
        write(entries);
      }
    }
  }

  private ObjectNode read() throws IOException {
    if (!Files.exists(file)) {
      return Json.object();
    }
    try {
      JsonNode json = Json.parse(Files.readAllBytes(file));
      if (json instanceof ObjectNode entries) {
        return entries;
      }
    } catch (Json.MalformedJsonException e) {
      // Said below.
    }
    throw new IOException(
        file
            + " cannot be read, so it is not known which payments wait for their answer; mend or remove it");
  }

  private void write(ObjectNode entries) throws IOException {
    Path next = file.resolveSibling(file.getFileName() + ".next");
    Files.deleteIfExists(next);
    Files.createFile(
        next, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    try (FileChannel out = FileChannel.open(next, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(Json.writeBytes(entries));
      while (bytes.hasRemaining()) {
        int unused = out.write(bytes);
      }
      out.force(true);
    }
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  @Override
  public synchronized Optional<Entry> find(String request) throws IOException {
    JsonNode entry = read().path(request);
    String name = Json.text(entry, "name");
    String value = Json.text(entry, "value");
    return name == null || value == null ? Optional.empty() : Optional.of(new Entry(name, value));
  }

  @Override
  public void put(String request, Entry entry) throws IOException {
    change(
        entries -> {
          entries
              .putObject(request)
              .put("name", entry.headerName())
              .put("value", entry.headerValue());
          while (entries.size() > ENTRIES_MAX) {
            entries.remove(entries.propertyNames().iterator().next());
          }
        });
  }

  @Override
  public void remove(String request) throws IOException {
    if (find(request).isPresent()) {
      change(entries -> entries.remove(request));
    }
  }
}
