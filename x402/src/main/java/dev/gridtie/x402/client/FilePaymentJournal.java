package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

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
    JsonNode entry = file.read().path(request);
    String name = Json.text(entry, "name");
    String value = Json.text(entry, "value");
    return name == null || value == null ? Optional.empty() : Optional.of(new Entry(name, value));
  }

  @Override
  public void put(String request, Entry entry) throws IOException {
    file.change(
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
      file.change(entries -> entries.remove(request));
    }
  }
}
