package dev.gridtie.x402.client;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The payments that were signed and not answered in full, by the request they are for: the same
 * request sends the same payment again, and nothing new is signed for it while that can be settled.
 * Any number of threads may use it.
 */
public interface PaymentJournal {
  /** How many payments are remembered. */
  int ENTRIES_MAX = 1024;

  /** It remembers as many payments as it may, and all of them can still be settled. */
  final class FullException extends IOException {
    private static final long serialVersionUID = 1L;

    FullException() {
      super(
          ENTRIES_MAX
              + " payments were signed whose answers have not come and which can still be settled; nothing new is"
              + " signed until some have expired");
    }
  }

  /**
   * A header that was or is about to be sent.
   *
   * @param openUntil see {@link Commitment#openUntil()}
   */
  record Entry(String headerName, String headerValue, long openUntil) {
    /** Whether it can still move money, as far as a clock can tell. */
    public boolean isOpen(long nowSeconds) {
      return Commitment.isOpen(openUntil, nowSeconds);
    }
  }

  Optional<Entry> find(String request) throws IOException;

  /**
   * Remembers a payment before it is sent, unless there is one for this request.
   *
   * @return the one to send: this, or the one that was there
   * @throws IOException where it cannot be noted: then it must not be sent
   */
  Entry claim(String request, Entry entry, long nowSeconds) throws IOException;

  /** Puts a payment in the place of one that it replaces. */
  void replace(String request, Entry entry) throws IOException;

  /** It has been answered in full, or can move nothing any more. */
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
      public synchronized Entry claim(String request, Entry entry, long nowSeconds)
          throws IOException {
        Entry before = entries.get(request);
        if (before != null) {
          return before;
        }
        if (entries.size() >= ENTRIES_MAX) {
          entries.values().removeIf(e -> !e.isOpen(nowSeconds));
        }
        if (entries.size() >= ENTRIES_MAX) {
          throw new FullException();
        }
        entries.put(request, entry);
        return entry;
      }

      @Override
      public synchronized void replace(String request, Entry entry) {
        entries.put(request, entry);
      }

      @Override
      public synchronized void remove(String request) {
        entries.remove(request);
      }
    };
  }
}
