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
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A JSON object in a file that only its owner can read, for all processes that share it: locked
 * while it changes, replaced in one step, and forced to the disk before that is reported.
 */
public final class JsonFile {
  private final Path file;

  public JsonFile(Path file) {
    this.file = file;
  }

  /** What is to be changed. */
  public interface Change {
    void make(ObjectNode entries);
  }

  /** Changes it, before this returns. */
  public synchronized void change(Change change) throws IOException {
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

  /**
   * All of it; empty where there is no such file.
   *
   * @throws IOException where it cannot be read: what it knew must not be taken for nothing
   */
  public synchronized ObjectNode read() throws IOException {
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
        file + " cannot be read, so what it remembers of payments is not known; mend or remove it");
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
}
