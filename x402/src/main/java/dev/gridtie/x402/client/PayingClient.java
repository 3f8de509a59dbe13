package dev.gridtie.x402.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Refusal;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Sends HTTP requests and pays for those that ask for it. A payment whose answer is lost is sent
 * again as it is, never signed anew: the server gives the same answer, and money moves at most
 * once.
 */
public final class PayingClient {
  /** The largest body of a 402 that is read, in bytes. */
  private static final int OFFER_BYTES_MAX = 256 * 1024;

  /** How often a paid request is sent, in all, before its answer counts as lost. */
  private static final int PAID_ATTEMPTS = 5;

  /** How often one request is signed: again once its signer was put right. */
  private static final int SIGNATURES = 2;

  private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(10);
  private static final Duration ANSWER_PATIENCE = Duration.ofMinutes(11);
  private static final Duration PAUSE = Duration.ofMillis(500);

  private final HttpClient http =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(CONNECT_PATIENCE)
          .build();
  private final PaymentJournal journal;
  private final Payer payer;
  private final SpendingCaps caps;
  private @Nullable EvmKey balanceOf;

  /** What came of a request. */
  public sealed interface Result {
    /**
     * The server's answer; its body is still coming.
     *
     * @param paid what was signed for it in this call, in pico-dollars; zero where nothing was
     *     asked
     */
    record Answered(HttpResponse<InputStream> response, BigInteger paid) implements Result {}

    /** Nothing was sent that could cost money: a cap, or an offer that cannot be paid. */
    record NotPaid(Refusal why) implements Result {}

    /**
     * It was paid or may have been, and no answer came. Send the same header with the same request
     * again later.
     */
    record Lost(String why, String headerName, String headerValue) implements Result {}
  }

  public PayingClient(Payer payer, SpendingCaps caps, PaymentJournal journal) {
    this.payer = payer;
    this.caps = caps;
    this.journal = journal;
  }

  /**
   * Uses what this wallet has left with a server of earlier payments, before it pays anew
   * (extension sign-in-with-x).
   */
  public PayingClient withBalanceOf(EvmKey key) {
    balanceOf = key;
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

  /**
   * Sends a request, and pays for it where the server wants money.
   *
   * @param headers to send along
   * @throws IOException where the server cannot be reached before anything was paid
   */
  public Result send(String method, URI url, Map<String, String> headers, byte[] body)
      throws IOException, InterruptedException {
    String request = request(method, url, body);
    Optional<PaymentJournal.Entry> unanswered = journal.find(request);
    if (unanswered.isPresent()) {
      Result again = sendPaid(method, url, headers, body, unanswered.get(), BigInteger.ZERO);
      boolean refused =
          again instanceof Result.Answered answered && answered.response().statusCode() == 402;
      if (!refused) {
        return again; // else it was never taken, and by now never will be
      }
    }
    HttpResponse<InputStream> first = once(method, url, headers, body);
    if (first.statusCode() != 402) {
      return new Result.Answered(first, BigInteger.ZERO);
    }
    byte[] offer;
    try (InputStream in = first.body()) {
      offer = in.readNBytes(OFFER_BYTES_MAX);
    }
    Optional<String> header = first.headers().firstValue(Headers.PAYMENT_REQUIRED);
    Optional<String> balance = header.flatMap(h -> signIn(h, url));
    if (balance.isPresent()) {
      Map<String, String> signedIn = new java.util.HashMap<>(headers);
      signedIn.put(SignIn.HEADER, balance.get());
      HttpResponse<InputStream> second = once(method, url, signedIn, body);
      if (second.statusCode() != 402) {
        return new Result.Answered(second, BigInteger.ZERO);
      }
      second.body().close(); // the balance does not reach
    }
    return pay(method, url, headers, body, header, offer, SIGNATURES);
  }

  /**
   * @param left how often it may be signed, this time included
   */
  private Result pay(
      String method,
      URI url,
      Map<String, String> headers,
      byte[] body,
      Optional<String> header,
      byte[] offer,
      int left)
      throws IOException, InterruptedException {
    return switch (payer.decide(header, offer)) {
      case Payer.Decision.Refuse refuse -> new Result.NotPaid(refuse.why());
      case Payer.Decision.Pay pay -> {
        if (!caps.reserve(pay.pico())) {
          yield new Result.NotPaid(
              new Refusal(
                  "spending_cap",
                  "the price is $"
                      + new PicoUsd(pay.pico()).dollars()
                      + "; the cap for one request is $"
                      + new PicoUsd(caps.perRequestMax()).dollars()
                      + ", and $"
                      + new PicoUsd(caps.spentToday()).dollars()
                      + " were spent today"));
        }
        PaymentJournal.Entry entry = new PaymentJournal.Entry(pay.headerName(), pay.headerValue());
        journal.put(request(method, url, body), entry);
        Result result = sendPaid(method, url, headers, body, entry, pay.pico());
        Optional<String> again = left > 1 ? corrected(entry, result) : Optional.empty();
        yield again.isPresent()
            ? pay(method, url, headers, body, again, new byte[0], left - 1)
            : result;
      }
    };
  }

  /** The new 402 of a payment that was refused, where its signer has learned from it. */
  private Optional<String> corrected(PaymentJournal.Entry entry, Result result) throws IOException {
    if (!(result instanceof Result.Answered answered) || answered.response().statusCode() != 402) {
      return Optional.empty();
    }
    Optional<String> required = answered.response().headers().firstValue(Headers.PAYMENT_REQUIRED);
    if (required.isEmpty() || !payer.corrected(entry.headerValue(), required.get())) {
      return Optional.empty();
    }
    answered.response().body().close();
    return required;
  }

  /**
   * @param pico what was reserved for it in this call; zero for one that was before
   */
  private Result sendPaid(
      String method,
      URI url,
      Map<String, String> headers,
      byte[] body,
      PaymentJournal.Entry entry,
      BigInteger pico)
      throws IOException, InterruptedException {
    Map<String, String> paid = new java.util.HashMap<>(headers);
    paid.put(entry.headerName(), entry.headerValue());
    String lost = "";
    for (int attempt = 1; attempt <= PAID_ATTEMPTS; attempt++) {
      try {
        HttpResponse<InputStream> response = once(method, url, paid, body);
        if (response.statusCode() == 503 && attempt < PAID_ATTEMPTS) {
          response.body().close();
          lost = "the server says 503";
        } else {
          if (response.statusCode() != 503) {
            journal.remove(request(method, url, body));
          }
          if ((response.statusCode() == 402 || response.statusCode() == 400) && pico.signum() > 0) {
            caps.release(pico); // refused: the server has not taken it, and says so
          }
          if (response.statusCode() / 100 == 2) {
            payer.answered(
                entry.headerValue(), response.headers().firstValue(Headers.PAYMENT_RESPONSE));
          } else if (response.statusCode() != 503) {
            payer.refused(entry.headerValue());
          }
          return new Result.Answered(response, pico);
        }
      } catch (IOException e) {
        lost = String.valueOf(e.getMessage());
      }
      Thread.sleep(PAUSE.multipliedBy(attempt));
    }
    return new Result.Lost(lost, entry.headerName(), entry.headerValue());
  }

  /** Names a request: two with the same name are the same. */
  private static String request(String method, URI url, byte[] body) {
    return Hex.encode(Hashes.sha256((method + " " + url + "\n").getBytes(UTF_8), body));
  }

  private HttpResponse<InputStream> once(
      String method, URI url, Map<String, String> headers, byte[] body)
      throws IOException, InterruptedException {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(url)
            .timeout(ANSWER_PATIENCE)
            .method(
                method,
                body.length == 0
                    ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofByteArray(body));
    headers.forEach(request::setHeader);
    return http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
  }
}
