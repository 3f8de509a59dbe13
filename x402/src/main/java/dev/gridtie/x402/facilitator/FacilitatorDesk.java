package dev.gridtie.x402.facilitator;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.SettlementJournal.Line;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Verifies and settles for others (x402 v2 §7). Each payment is settled once however often it is
 * asked: at once, later, or after a restart; the same question gets the same answer. State: the
 * payments being settled, by their key.
 */
public final class FacilitatorDesk implements AutoCloseable {
  /** How many payments may be settled at once. */
  private static final int AT_ONCE_MAX = 1024;

  private static final Duration LOOK_EVERY = Duration.ofSeconds(2);

  private final Facilitator facilitator;
  private final SettlementJournal journal;
  private final InstantSource clock;
  private final Map<String, CompletableFuture<ObjectNode>> settling = new ConcurrentHashMap<>();
  private volatile @Nullable Thread background;

  public FacilitatorDesk(Facilitator facilitator, SettlementJournal journal, InstantSource clock) {
    this.facilitator = facilitator;
    this.journal = journal;
    this.clock = clock;
  }

  /** What {@code /verify} and {@code /settle} are asked (x402 v2 §7.1; v1 §6). */
  public record Question(PaymentPayload payment, PaymentRequirements requirements) {
    /**
     * Reads a body.
     *
     * @throws MalformedPaymentException naming what is wrong
     */
    public static Question fromJson(JsonNode json) throws MalformedPaymentException {
      JsonNode payment = json.path("paymentPayload");
      JsonNode requirements = json.path("paymentRequirements");
      if (!payment.isObject() || !requirements.isObject()) {
        throw new MalformedPaymentException(
            "paymentPayload and paymentRequirements must be objects");
      }
      boolean v1 = json.path("x402Version").asInt(2) == 1;
      return v1
          ? new Question(
              PaymentPayload.fromV1Json(payment), PaymentRequirements.fromV1Json(requirements))
          : new Question(
              PaymentPayload.fromJson(payment), PaymentRequirements.fromJson(requirements));
    }

    private String fingerprint() {
      String text = Json.canonical(payment.raw()) + "\n" + Json.canonical(requirements.toJson());
      return Hex.encode(Hashes.sha256(text.getBytes(UTF_8))).substring(2);
    }

    private String network() {
      String caip2 = payment.network();
      return payment.version() == 1 ? Networks.v1Name(caip2).orElse(caip2) : caip2;
    }
  }

  /** Takes up what an earlier run left open, and looks after it in the background. */
  public void start() {
    for (Line line : journal.open()) {
      facilitator.adopt(line.requirements(), line.sent().orElseThrow());
    }
    background = Thread.ofVirtual().name("facilitator-recovery").start(this::recover);
  }

  private void recover() {
    while (!Thread.currentThread().isInterrupted()) {
      try {
        for (Line line : journal.open()) {
          if (!settling.containsKey(line.key())) {
            var unused = once(line.key(), () -> reconciled(line));
          }
        }
        Thread.sleep(LOOK_EVERY);
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        System.err.println("x402 facilitator: recovery: " + e);
      }
    }
  }

  /** A VerifyResponse (x402 v2 §7.1). */
  public ObjectNode verify(Question question) {
    ObjectNode json = Json.object();
    switch (verdict(question)) {
      case Verdict.Valid valid -> {
        json.put("isValid", true).put("payer", valid.payer());
        if (!valid.extra().isEmpty()) {
          json.set("extra", valid.extra());
        }
      }
      case Verdict.Invalid invalid -> invalid(json, invalid.why());
    }
    return json;
  }

  private Verdict verdict(Question question) {
    try {
      return facilitator.verify(question.payment(), question.requirements());
    } catch (UnreachableException e) {
      return new Verdict.Invalid(
          new Refusal("unexpected_verify_error", "the chain is out of reach: " + e.getMessage()));
    }
  }

  private static void invalid(ObjectNode json, Refusal why) {
    json.put("isValid", false);
    json.put("invalidReason", why.code());
    json.put("invalidMessage", why.message());
  }

  /** A SettleResponse (x402 v2 §7.2). Blocks until it is known, or known to be unknown. */
  public ObjectNode settle(Question question) throws MalformedPaymentException {
    Optional<String> key = facilitator.key(question.payment(), question.requirements());
    if (key.isEmpty()) {
      Settlement refused =
          facilitator.settle(question.payment(), question.requirements(), signed -> {});
      return json(question, refused, "");
    }
    Optional<Line> before = journal.find(key.get());
    if (before.isPresent()) {
      return again(question, before.get());
    }
    if (settling.size() >= AT_ONCE_MAX) {
      return refused(
          question, new Refusal("unexpected_settle_error", "too many payments; come again"));
    }
    return once(key.get(), () -> first(question, key.get()));
  }

  /** Runs what settles a payment, unless somebody does: then waits for that. */
  private ObjectNode once(String key, java.util.function.Supplier<ObjectNode> work) {
    CompletableFuture<ObjectNode> mine = new CompletableFuture<>();
    CompletableFuture<ObjectNode> other = settling.putIfAbsent(key, mine);
    if (other != null) {
      return join(other);
    }
    try {
      mine.complete(work.get());
    } catch (RuntimeException e) {
      mine.completeExceptionally(e);
    } finally {
      settling.remove(key);
    }
    return join(mine);
  }

  private static ObjectNode join(CompletableFuture<ObjectNode> result) {
    try {
      return result.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException bug ? bug : e;
    }
  }

  /** Somebody asked this before. */
  private ObjectNode again(Question question, Line line) {
    if (!line.fingerprint().equals(question.fingerprint())) {
      return refused(
          question,
          new Refusal(
              "duplicate_settlement",
              "this authorisation was brought here before with another payload or other"
                  + " requirements"));
    }
    if (line.result().isPresent()) {
      return line.result().get();
    }
    return once(line.key(), () -> reconciled(line));
  }

  private ObjectNode first(Question question, String key) {
    Optional<Line> before = journal.find(key);
    if (before.isPresent()) { // since it was looked for
      return again(question, before.get());
    }
    Line claimed =
        new Line(
            key,
            question.fingerprint(),
            question.payment(),
            question.requirements(),
            Optional.empty(),
            Optional.empty(),
            clock.instant().getEpochSecond());
    // Nothing is written down of what would not move money: anybody can make any number of those.
    // What somebody else has brought to the chain before is settled by that: settling finds it.
    if (verdict(ceiling(question)) instanceof Verdict.Invalid invalid && !invalid.used()) {
      return refused(question, invalid.why());
    }
    write(claimed);
    Settlement settlement =
        facilitator.settle(
            question.payment(), question.requirements(), signed -> write(claimed.sending(signed)));
    Line line = journal.find(key).orElse(claimed);
    String hash = line.sent().map(s -> s.hash()).orElse("");
    ObjectNode result = json(question, settlement, hash);
    if (settlement instanceof Settlement.Unknown && line.sent().isPresent()) {
      return result;
    }
    if (!(settlement instanceof Settlement.Settled) && line.sent().isEmpty()) {
      forget(key); // nothing was sent: it may come again
    } else {
      write(line.ended(result));
    }
    return result;
  }

  /** Of a metered scheme the ceiling is verified, for that is what was signed. */
  private static Question ceiling(Question question) {
    return question
        .payment()
        .accepted()
        .filter(a -> a.scheme().equals("upto"))
        .map(a -> new Question(question.payment(), question.requirements().withAmount(a.amount())))
        .orElse(question);
  }

  private ObjectNode reconciled(Line line) {
    Question question = new Question(line.payment(), line.requirements());
    if (line.sent().isEmpty()) {
      // Claimed by a run that ended before it sent anything.
      forget(line.key());
      return first(question, line.key());
    }
    Settlement settlement =
        facilitator.reconcile(line.payment(), line.requirements(), line.sent().get());
    if (settlement instanceof Settlement.Unknown unknown && unknown.superseded()) {
      AtomicBoolean sentAgain = new AtomicBoolean();
      Settlement again =
          facilitator.settle(
              line.payment(),
              line.requirements(),
              signed -> {
                write(line.sending(signed));
                sentAgain.set(true);
              });
      settlement = sentAgain.get() ? again : settlement;
    }
    ObjectNode result = json(question, settlement, line.sent().get().hash());
    if (!(settlement instanceof Settlement.Unknown)) {
      write(line.ended(result));
    }
    return result;
  }

  private void write(Line line) {
    try {
      journal.write(line);
    } catch (IOException e) {
      throw new UncheckedIOException("the journal cannot be written", e);
    }
  }

  private void forget(String key) {
    try {
      journal.forget(key);
    } catch (IOException e) {
      throw new UncheckedIOException("the journal cannot be written", e);
    }
  }

  private static ObjectNode refused(Question question, Refusal why) {
    return SettleResponse.refused(why, "", question.network()).toJson();
  }

  private static ObjectNode json(Question question, Settlement settlement, String hash) {
    return switch (settlement) {
      case Settlement.Settled settled ->
          SettleResponse.settled(
                  settled.transaction(), question.network(), settled.payer(), settled.amount())
              .withExtra(settled.extra())
              .toJson();
      case Settlement.Failed failed ->
          SettleResponse.refused(failed.why(), hash, question.network()).toJson();
      case Settlement.Unknown unknown ->
          SettleResponse.refused(
                  new Refusal(
                      "settlement_pending",
                      "sent, and its end is not known yet; ask the same again: " + unknown.why()),
                  hash,
                  question.network())
              .toJson();
    };
  }

  @Override
  public void close() throws IOException {
    Thread running = background;
    if (running != null) {
      running.interrupt();
    }
    journal.close();
  }
}
