package dev.gridtie.gateway.receipts;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.SignedNote;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Shows our checkpoints to others, who cosign them where they begin with all that they have seen of
 * us (C2SP tlog-witness). One thread.
 */
public final class Witnesses {
  /** How long a witness is waited for. */
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  private static final int ANSWER_BYTES_MAX = 16 * 1024;

  /**
   * Somebody who cosigns.
   *
   * @param url under which it takes {@code add-checkpoint}
   * @param key that its cosignatures are checked by
   */
  public record One(URI url, SignedNote.Verifier key) {}

  private final List<One> all;
  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(PATIENCE).build();

  /** How much of our log each has seen, as far as we know. */
  private final Map<URI, Long> seen = new HashMap<>();

  public Witnesses(List<One> all) {
    this.all = List.copyOf(all);
  }

  /**
   * Asks each for its cosignature, and keeps what is good. What a witness will not sign is said.
   */
  void show(LedgerLog log, LedgerLog.Signed signed) throws InterruptedException {
    for (One one : all) {
      try {
        long size = signed.checkpoint().size();
        if (seen.getOrDefault(one.url(), -1L) < size) {
          Optional<SignedNote.Line> line = cosigned(log, signed, one);
          if (line.isPresent()) {
            log.keep(size, line.get());
            seen.put(one.url(), size);
          }
        }
      } catch (IOException e) {
        System.err.println("gridtie: the witness " + one.url() + " cannot be asked: " + e);
      }
    }
  }

  private Optional<SignedNote.Line> cosigned(LedgerLog log, LedgerLog.Signed signed, One one)
      throws IOException, InterruptedException {
    long old = Math.max(seen.getOrDefault(one.url(), 0L), 0);
    HttpResponse<InputStream> answer = post(log, signed, one, old);
    if (answer.statusCode() == 409) { // it has seen another size than we know
      String says = body(answer).strip();
      if (!says.matches("0|[1-9][0-9]{0,17}")
          || Long.parseLong(says) > signed.checkpoint().size()) {
        System.err.println(
            "gridtie: the witness "
                + one.url()
                + " has seen "
                + says
                + " entries of this log, and there are "
                + signed.checkpoint().size()
                + ": was an older copy restored?");
        return Optional.empty();
      }
      seen.put(one.url(), Long.parseLong(says));
      answer = post(log, signed, one, Long.parseLong(says));
    }
    String says = body(answer);
    if (answer.statusCode() != 200) {
      System.err.println(
          "gridtie: the witness "
              + one.url()
              + " does not cosign: "
              + answer.statusCode()
              + " "
              + says.strip());
      return Optional.empty();
    }
    try {
      SignedNote note = SignedNote.parse(signed.note().text() + "\n" + says);
      if (one.key().verify(note).isPresent()) {
        return note.signatures().stream()
            .filter(line -> line.name().equals(one.key().name()))
            .findFirst();
      }
    } catch (SignedNote.MalformedNoteException e) {
      // Said below.
    }
    System.err.println("gridtie: what the witness " + one.url() + " says is not by its key");
    return Optional.empty();
  }

  private HttpResponse<InputStream> post(LedgerLog log, LedgerLog.Signed signed, One one, long old)
      throws IOException, InterruptedException {
    StringBuilder body = new StringBuilder("old " + old + "\n");
    if (old > 0 && old < signed.checkpoint().size()) {
      for (byte[] hash : log.consistency(old, signed.checkpoint().size())) {
        body.append(Base64.getEncoder().encodeToString(hash)).append('\n');
      }
    }
    body.append('\n').append(signed.note().written());
    String base = one.url().toString().replaceAll("/+$", "");
    return http.send(
        HttpRequest.newBuilder(URI.create(base + "/add-checkpoint"))
            .timeout(PATIENCE)
            .POST(HttpRequest.BodyPublishers.ofString(body.toString()))
            .build(),
        HttpResponse.BodyHandlers.ofInputStream());
  }

  private static String body(HttpResponse<InputStream> answer) throws IOException {
    try (InputStream in = answer.body()) {
      return new String(in.readNBytes(ANSWER_BYTES_MAX), UTF_8);
    }
  }
}
