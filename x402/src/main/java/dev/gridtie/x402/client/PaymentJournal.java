package dev.gridtie.x402.client;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The payments whose answers have not come, by the request they are for: the same request sends the
 * same payment again, and never signs a new one. Any number of threads may use it.
 */
public interface PaymentJournal {
  /** How many payments are remembered; the oldest goes first. */
  int ENTRIES_MAX = 1024;

  /** A header that was or is about to be sent. */
  record Entry(String headerName, String headerValue) {}

  Optional<Entry> find(String request) throws IOException;

  /**
   * Remembers a payment before it is sent.
   *
   * @throws IOException where it cannot be noted: then it must not be sent
   */
  void put(String request, Entry entry) throws IOException;

  /** It has been answered, one way or the other. */
  void remove(String request) throws IOException;

  /** One that is forgotten with its process. */
  static PaymentJournal inMemory() {
    Map<String, Entry> entries = new LinkedHashMap<>();
    return new PaymentJournal() {
      @Override
      public synchronized Optional<Entry> find(String request) {
        return Optional.ofNullable(entries.get(request));
      }

      @Override
      public synchronized void put(String request, Entry entry) {
        entries.put(request, entry);
        if (entries.size() > ENTRIES_MAX) {
          entries.remove(entries.keySet().iterator().next());
        }
      }

      @Override
      public synchronized void remove(String request) {
        entries.remove(request);
      }
    };
  }
}
