package dev.gridtie.x402.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.PaymentJournal.Entry;
import dev.gridtie.x402.wire.Refusal;
import java.io.IOException;
import java.math.BigInteger;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Optional;

/**
 * What pays for requests: signs within caps, remembers what it signed until it was answered in
 * full, and signs nothing new for a request while an earlier signature for it can still be settled.
 * A server that takes a signature and denies it gets no second one, and the caps still count the
 * first. Requests are known by names, of which equal ones mean the same request. Blocks on files.
 */
public final class CappedPayer {
  private final Payer payer;
  private final SpendingCaps caps;
  private final PaymentJournal journal;
  private final InstantSource clock;

  /** What came of being asked for money. */
  public sealed interface Outcome {
    /**
     * Send the request again with this payment.
     *
     * @param price what may be charged for this request, in pico-dollars; zero where the payment
     *     was signed before
     */
    record Send(Entry entry, BigInteger price) implements Outcome {}

    /** Nothing was signed that could be sent. */
    record Refuse(Refusal why) implements Outcome {}
  }

  public CappedPayer(Payer payer, SpendingCaps caps, PaymentJournal journal, InstantSource clock) {
    this.payer = payer;
    this.caps = caps;
    this.journal = journal;
    this.clock = clock;
  }

  /** What was signed for a request before and not answered in full: send it again first. */
  public Optional<Entry> unanswered(String request) throws IOException {
    return journal.find(request);
  }

  /**
   * Signs for a request, and counts and remembers that before it returns.
   *
   * @param header the 402's, where it had one
   * @param body the 402's
   */
  public Outcome pay(String request, Optional<String> header, byte[] body) throws IOException {
    return switch (payer.decide(header, body)) {
      case Payer.Decision.Refuse refuse -> new Outcome.Refuse(refuse.why());
      case Payer.Decision.Pay pay -> {
        if (!reserve(pay, BigInteger.ZERO)) {
          yield capped(pay);
        }
        Entry entry = entry(pay, 0);
        Entry claimed;
        try {
          claimed = journal.claim(request, entry, clock.instant().getEpochSecond());
        } catch (IOException e) {
          unsent(pay);
          throw e;
        }
        if (!claimed.equals(entry)) {
          unsent(pay);
          yield new Outcome.Send(claimed, BigInteger.ZERO);
        }
        payer.committed(entry.headerValue());
        yield new Outcome.Send(entry, pay.price());
      }
    };
  }

  /**
   * A payment was refused by another 402: where its signer has learned from that and what it signs
   * instead takes its place, the new payment.
   *
   * @param price what was reserved for the request already, in pico-dollars
   * @param required the new 402's header
   */
  public Optional<Outcome.Send> corrected(
      String request, Entry refused, BigInteger price, String required) throws IOException {
    if (!payer.corrected(refused.headerValue(), required)
        || !(payer.decide(Optional.of(required), new byte[0]) instanceof Payer.Decision.Pay pay)) {
      return Optional.empty();
    }
    boolean both = refused.isOpen(now()) && pay.commitment().openUntil() > 0;
    if (both || !reserve(pay, price)) {
      payer.refused(pay.headerValue());
      return Optional.empty();
    }
    Entry entry = entry(pay, refused.openUntil());
    journal.replace(request, entry);
    payer.committed(entry.headerValue());
    return Optional.of(new Outcome.Send(entry, price.add(pay.price())));
  }

  /**
   * The server has answered, and its answer is coming.
   *
   * @param settled the header that says how it was settled, where there was one
   */
  public void answered(Entry entry, Optional<String> settled) {
    payer.answered(entry.headerValue(), settled);
  }

  /** The answer to a payment has come to its end. */
  public void delivered(String request) throws IOException {
    journal.remove(request);
  }

  /** The server has answered without an answer: it may have kept the payment all the same. */
  public void refused(String request, Entry entry) throws IOException {
    payer.refused(entry.headerValue());
    if (entry.openUntil() == 0) {
      journal.remove(request); // the next one that is signed replaces it
    }
  }

  /**
   * Whether a payment that was refused can move no money any more, so that another may be signed.
   */
  public boolean isOver(Entry entry) {
    return !entry.isOpen(now());
  }

  /** Forgets what was signed for a request, as its owner wants to; it still counts. */
  public void forget(String request) throws IOException {
    journal.remove(request);
  }

  /** Says why a request that was refused is not paid anew. */
  public static String stillOpen(Entry entry) {
    return "the payment that was signed for this request was not taken, and can still be settled until "
        + Instant.ofEpochSecond(entry.openUntil() + Commitment.MARGIN_SECONDS)
        + "; the same request sends it again, and nothing new is signed before then";
  }

  private boolean reserve(Payer.Decision.Pay pay, BigInteger before) throws IOException {
    boolean allowed;
    try {
      allowed = caps.reserve(id(pay), pay.price().add(before), pay.pico(), pay.commitment());
    } catch (IOException e) {
      payer.refused(pay.headerValue());
      throw e;
    }
    if (!allowed) {
      payer.refused(pay.headerValue());
    }
    return allowed;
  }

  private Outcome capped(Payer.Decision.Pay pay) throws IOException {
    return new Outcome.Refuse(
        new Refusal(
            "spending_cap",
            "the price is $"
                + new PicoUsd(pay.pico()).dollars()
                + "; the cap for one request is $"
                + new PicoUsd(caps.perRequestMax()).dollars()
                + ", and $"
                + new PicoUsd(caps.spentToday()).dollars()
                + " were signed away today"));
  }

  private void unsent(Payer.Decision.Pay pay) throws IOException {
    payer.refused(pay.headerValue());
    caps.withdraw(id(pay));
  }

  private static Entry entry(Payer.Decision.Pay pay, long openUntil) {
    return new Entry(
        pay.headerName(), pay.headerValue(), Math.max(openUntil, pay.commitment().openUntil()));
  }

  private static String id(Payer.Decision.Pay pay) {
    return Hex.encode(Hashes.sha256(pay.headerValue().getBytes(UTF_8)));
  }

  private long now() {
    return clock.instant().getEpochSecond();
  }
}
