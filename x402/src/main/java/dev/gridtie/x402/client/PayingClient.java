package dev.gridtie.x402.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.x402.client.PaymentJournal.Entry;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Refusal;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Sends HTTP requests and pays for those that ask for it. A payment whose answer is lost, cut off
 * or refused is sent again as it is, never signed anew while it can be settled: an honest server
 * gives the same answer, and a dishonest one moves money at most once. Redirects are not followed.
 */
public final class PayingClient {
  /** The largest body of a 402 that is read, in bytes. */
  private static final int OFFER_BYTES_MAX = 256 * 1024;

  /** How often a paid request is sent, in all, before its answer counts as lost. */
  private static final int PAID_ATTEMPTS = 5;

  /** How often one request is signed: again once its signer was put right. */
  private static final int SIGNATURES = 2;

  /** Answers after which the same payment is sent again at once. */
  private static final Set<Integer> PASSING = Set.of(429, 500, 502, 503, 504);

  private static final Duration PAUSE = Duration.ofMillis(500);

  private final CappedPayer capped;
  private final Transport transport;
  private final Duration pause;
  private @Nullable EvmKey balanceOf;
  private String purpose = "";
  private boolean anew;

  /** What came of a request. */
  public sealed interface Result {
    /**
     * The server's answer; its body is still coming, and what paid for it is remembered until it
     * was read to its end.
     *
     * @param paid what was signed for it in this call, in pico-dollars; zero where nothing was
     *     asked
     * @param open says why nothing more is signed, where the server refused a payment that can
     *     still be settled
     */
    record Answered(Answer response, BigInteger paid, Optional<String> open) implements Result {}

    /** Nothing was sent that could cost money: a cap, or an offer that cannot be paid. */
    record NotPaid(Refusal why) implements Result {}

    /**
     * It was paid or may have been, and no answer came. Send the same header with the same request
     * again later.
     */
    record Lost(String why, String headerName, String headerValue) implements Result {}
  }

  /**
   * A server's answer.
   *
   * @param body still coming; reading it fails where it breaks off
   */
  public record Answer(int statusCode, HttpHeaders headers, InputStream body) {}

  public PayingClient(Payer payer, SpendingCaps caps, PaymentJournal journal) {
    this(new CappedPayer(payer, caps, journal, InstantSource.system()), Transport.http(), PAUSE);
  }

  PayingClient(CappedPayer capped, Transport transport, Duration pause) {
    this.capped = capped;
    this.transport = transport;
    this.pause = pause;
  }

  /**
   * Uses what this wallet has left with a server of earlier payments, before it pays anew
   * (extension sign-in-with-x).
   */
  public PayingClient withBalanceOf(EvmKey key) {
    balanceOf = key;
    return this;
  }

  /** Tells apart requests that are equal in all but what their payments are for. */
  public PayingClient withPurpose(String newPurpose) {
    purpose = newPurpose;
    return this;
  }

  /** Forgets what was signed for a request before: its owner has decided to risk paying twice. */
  public PayingClient signingAnew() {
    anew = true;
    return this;
  }

  private Optional<String> signIn(String required, URI url) {
    EvmKey key = balanceOf;
    if (key == null) {
      return Optional.empty();
    }
    try {
      return SignIn.answer(Headers.decode(required).path("extensions"), url, key);
    } catch (MalformedPaymentException e) {
      return Optional.empty();
    }
  }

  /** One request, and the name under which its payment is remembered. */
  private record Asked(
      String name, String method, URI url, Map<String, String> headers, byte[] body) {
    Map<String, String> with(String header, String value) {
      Map<String, String> all = new HashMap<>(headers);
      all.put(header, value);
      return all;
    }
  }

  /**
   * Sends a request, and pays for it where the server wants money.
   *
   * @param headers to send along
   * @throws IOException where the server cannot be reached before anything was paid
   */
  public Result send(String method, URI url, Map<String, String> headers, byte[] body)
      throws IOException, InterruptedException {
    Asked asked = new Asked(name(method, url, body), method, url, headers, body);
    if (anew) {
      capped.forget(asked.name());
    }
    Optional<Entry> unanswered = capped.unanswered(asked.name());
    if (unanswered.isPresent()) {
      Result again = sendPaid(asked, unanswered.get(), BigInteger.ZERO);
      boolean refused =
          again instanceof Result.Answered answered
              && answered.response().statusCode() / 100 == 4
              && !PASSING.contains(answered.response().statusCode());
      if (!refused || !capped.isOver(unanswered.get())) {
        return again;
      }
      ((Result.Answered) again).response().body().close();
      capped.forget(asked.name()); // it was never taken, and by now never will be
    }
    Answer first = transport.exchange(method, url, headers, body);
    if (first.statusCode() != 402) {
      return unpaid(first);
    }
    byte[] offer;
    try (InputStream in = first.body()) {
      offer = in.readNBytes(OFFER_BYTES_MAX);
    }
    Optional<String> header = first.headers().firstValue(Headers.PAYMENT_REQUIRED);
    Optional<String> balance = header.flatMap(h -> signIn(h, url));
    if (balance.isPresent()) {
      Answer second =
          transport.exchange(method, url, asked.with(SignIn.HEADER, balance.get()), body);
      if (second.statusCode() != 402) {
        return unpaid(second);
      }
      second.body().close(); // the balance does not reach
    }
    return switch (capped.pay(asked.name(), header, offer)) {
      case CappedPayer.Outcome.Refuse refuse -> new Result.NotPaid(refuse.why());
      case CappedPayer.Outcome.Send send -> pay(asked, send);
    };
  }

  private static Result unpaid(Answer answer) {
    return new Result.Answered(answer, BigInteger.ZERO, Optional.empty());
  }

  private Result pay(Asked asked, CappedPayer.Outcome.Send first)
      throws IOException, InterruptedException {
    CappedPayer.Outcome.Send send = first;
    for (int signed = 1; ; signed++) {
      Result result = sendPaid(asked, send.entry(), send.price());
      if (signed == SIGNATURES
          || !(result instanceof Result.Answered answered)
          || answered.response().statusCode() != 402) {
        return result;
      }
      Optional<String> required =
          answered.response().headers().firstValue(Headers.PAYMENT_REQUIRED);
      Optional<CappedPayer.Outcome.Send> again =
          required.isEmpty()
              ? Optional.empty()
              : capped.corrected(asked.name(), send.entry(), send.price(), required.get());
      if (again.isEmpty()) {
        return result;
      }
      answered.response().body().close();
      send = again.get();
    }
  }

  /**
   * @param pico what was reserved for it in this call; zero for one that was before
   */
  private Result sendPaid(Asked asked, Entry entry, BigInteger pico)
      throws IOException, InterruptedException {
    Map<String, String> headers = asked.with(entry.headerName(), entry.headerValue());
    String lost = "";
    for (int attempt = 1; attempt <= PAID_ATTEMPTS; attempt++) {
      try {
        Answer response = transport.exchange(asked.method(), asked.url(), headers, asked.body());
        if (!PASSING.contains(response.statusCode()) || attempt == PAID_ATTEMPTS) {
          return answered(asked, entry, pico, response);
        }
        response.body().close();
        lost = "the server says " + response.statusCode();
      } catch (IOException e) {
        lost = String.valueOf(e.getMessage());
      }
      Thread.sleep(pause.multipliedBy(attempt));
    }
    return new Result.Lost(lost, entry.headerName(), entry.headerValue());
  }

  private Result answered(Asked asked, Entry entry, BigInteger pico, Answer response)
      throws IOException {
    if (response.statusCode() / 100 == 2) {
      capped.answered(entry, response.headers().firstValue(Headers.PAYMENT_RESPONSE));
      InputStream body = response.body();
      if (response.headers().firstValue("Content-Length").filter("0"::equals).isPresent()) {
        capped.delivered(asked.name());
      } else {
        body = new WholeBody(body, () -> capped.delivered(asked.name()));
      }
      return new Result.Answered(
          new Answer(response.statusCode(), response.headers(), body), pico, Optional.empty());
    }
    if (!PASSING.contains(response.statusCode())) {
      capped.refused(asked.name(), entry);
    }
    return new Result.Answered(
        response,
        pico,
        capped.isOver(entry) ? Optional.empty() : Optional.of(CappedPayer.stillOpen(entry)));
  }

  /** An answer's body, which tells when it has come to its end. */
  private static final class WholeBody extends FilterInputStream {
    /** What is done at the end. */
    interface End {
      void reached() throws IOException;
    }

    private final End end;
    private boolean over;

    WholeBody(InputStream in, End end) {
      super(in);
      this.end = end;
    }

    @Override
    public int read() throws IOException {
      return seen(super.read());
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
      return length == 0 ? 0 : seen(super.read(into, offset, length));
    }

    private int seen(int read) throws IOException {
      if (read < 0 && !over) {
        over = true;
        end.reached();
      }
      return read;
    }
  }

  /** Names a request: two with the same name are the same. */
  private String name(String method, URI url, byte[] body) {
    return Hex.encode(Hashes.sha256((method + " " + url + "\n" + purpose).getBytes(UTF_8), body));
  }
}
