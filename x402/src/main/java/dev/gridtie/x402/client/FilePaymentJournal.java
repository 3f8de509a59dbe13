package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A journal in a file that only its owner can read, for all processes that share it: locked while
 * it changes, and forced to the disk before a payment is sent.
 */
public final class FilePaymentJournal implements PaymentJournal {
  private final JsonFile file;

  public FilePaymentJournal(Path file) {
    this.file = new JsonFile(file);
  }

  @Override
  public synchronized Optional<Entry> find(String request) throws IOException {
    return read(file.read().path(request));
  }

  @Override
  public Entry claim(String request, Entry entry, long nowSeconds) throws IOException {
    List<Entry> claimed = new ArrayList<>(1);
    file.change(
        entries -> {
          Optional<Entry> before = read(entries.path(request));
          if (before.isPresent()) {
            claimed.add(before.get());
            return;
          }
          if (entries.size() >= ENTRIES_MAX) {
            entries.removeIf(e -> read(e).filter(open -> open.isOpen(nowSeconds)).isEmpty());
          }
          if (entries.size() < ENTRIES_MAX) {
            write(entries, request, entry);
            claimed.add(entry);
          }
        });
    if (claimed.isEmpty()) {
      throw new FullException();
    }
    return claimed.getFirst();
  }

  @Override
  public void replace(String request, Entry entry) throws IOException {
    file.change(entries -> write(entries, request, entry));
  }

  @Override
  public void remove(String request) throws IOException {
    if (find(request).isPresent()) {
      file.change(entries -> entries.remove(request));
    }
  }

  private static Optional<Entry> read(JsonNode entry) {
    String name = Json.text(entry, "name");
    String value = Json.text(entry, "value");
    return name == null || value == null
        ? Optional.empty()
        : Optional.of(new Entry(name, value, entry.path("openUntil").asLong(0)));
  }

  private static void write(ObjectNode entries, String request, Entry entry) {
    entries
        .putObject(request)
        .put("name", entry.headerName())
        .put("value", entry.headerValue())
        .put("openUntil", entry.openUntil());
  }
}
