package dev.gridtie.gateway.gate;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.RelaySink;
import dev.gridtie.wire.ApiError;
import dev.gridtie.x402.wire.SettleResponse;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * A payment being worked on, and everybody who waits for its answer. The same payment sent many
 * times at once shares one ticket: one settlement, one answer, one charge. State under the lock:
 * the readers, how far the furthest has come, whether the answer is finished when they have left,
 * and whether the account is closed.
 */
public final class Ticket {
  final String key;
  final String fingerprint;
  final String signature;
  final Answer answer = new Answer();

  /** Completed once it is known whether the answer may be given. */
  private final CompletableFuture<Gate> gate = new CompletableFuture<>();

  /** Completed once nothing of this ticket is going on any more. */
  final CompletableFuture<Boolean> done = new CompletableFuture<>();

  private final ReentrantLock lock = new ReentrantLock();
  private int readers;
  private long deliveredTokens;
  private boolean closed;
  private boolean whole;
  private boolean finishing;
  private boolean ended;
  private @Nullable Running generation;
  private final CompletableFuture<Boolean> settled = new CompletableFuture<>();
  private boolean settling;
  private volatile @Nullable Leg servedBy;
  private volatile @Nullable Leg asked;
  private @Nullable Supplier<Boolean> settleUp;
  private volatile @Nullable Bill bill;

  /**
   * How an answer that was given first was paid.
   *
   * @param error why it was not; null where it was
   */
  public record Bill(SettleResponse settlement, @Nullable ApiError error) {}

  /** Whether the answer may be given. */
  public sealed interface Gate {
    /**
     * Read on.
     *
     * @param settlement how the money has moved; null where it moves after the answer
     * @param created Unix seconds, of the answer
     */
    record Open(@Nullable SettleResponse settlement, String receiptId, long created, Answer answer)
        implements Gate {}

    /** The payer has paid for this very answer before, by another payment: that one stands. */
    record Known(String paymentKey) implements Gate {}

    /**
     * It may not; nothing of the answer was or will be sent.
     *
     * @param correction what the payer has got wrong, for the 402's {@code extra}; may be empty
     */
    record Shut(ApiError error, @Nullable SettleResponse settlement, ObjectNode correction)
        implements Gate {}
  }

  Ticket(String key, String fingerprint, String signature) {
    this.key = key;
    this.fingerprint = fingerprint;
    this.signature = signature;
  }

  /** A ticket that only keeps others away while a payment is reconciled. */
  static Ticket forRecovery(String key) {
    return new Ticket(key, "", "");
  }

  boolean isForRecovery() {
    return fingerprint.isEmpty();
  }

  boolean isFor(String otherFingerprint, String otherSignature) {
    return fingerprint.equals(otherFingerprint) && signature.equals(otherSignature);
  }

  /** Who gives the answer, or is to give it; empty before anybody was asked. */
  public Optional<Leg> servedBy() {
    Leg by = servedBy;
    return Optional.ofNullable(by == null ? asked : by);
  }

  /** Where the answer is to be said. */
  RelaySink sink() {
    return new RelaySink() {
      @Override
      public void asked(Leg leg) {
        asked = leg;
      }

      @Override
      public void committed(Leg leg) {
        servedBy = leg;
      }

      @Override
      public void begun(Beginning beginning) {
        answer.begun(beginning);
      }

      @Override
      public void piece(Piece piece) {
        answer.piece(piece);
      }

      @Override
      public void ended(Ending ending) {
        answer.ended(ending);
      }

      @Override
      public void failed(Failure failure) {
        answer.failed(failure);
      }
    };
  }

  void paid(SettleResponse settlement) {
    bill = new Bill(settlement, null);
  }

  void unpaid(ApiError error, SettleResponse settlement) {
    bill = new Bill(settlement, error);
  }

  /** How it was paid, once {@link #finish} has returned; empty where the money moved before. */
  public Optional<Bill> bill() {
    return Optional.ofNullable(bill);
  }

  /** Joins the readers; false where it is too late. */
  boolean join() {
    return locked(
        () -> {
          if (closed) {
            return false;
          }
          readers++;
          return true;
        });
  }

  /** Waits until it is known whether the answer may be given. */
  public Gate awaitGate() throws InterruptedException {
    try {
      return gate.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
  }

  void open(Gate.Open how) {
    gate.complete(how);
  }

  void known(String paymentKey) {
    locked(() -> closed = true);
    gate.complete(new Gate.Known(paymentKey));
  }

  void shut(ApiError error, @Nullable SettleResponse settlement) {
    shut(error, settlement, Json.object());
  }

  void shut(ApiError error, @Nullable SettleResponse settlement, ObjectNode correction) {
    locked(() -> closed = true);
    gate.complete(new Gate.Shut(error, settlement, correction));
  }

  /**
   * The answer is to be finished, charged and kept, whoever still waits for it: sent again, the
   * payment gets it, and it is not asked for again. To be said before it is begun.
   */
  void finishing() {
    locked(() -> finishing = true);
  }

  boolean isFinishing() {
    return locked(() -> finishing);
  }

  /** How long an answer may be worked on in all. */
  private static final Duration GIVEN_MAX = Duration.ofMinutes(30);

  /** Waits for the answer's end, and until it was settled up. */
  void awaitServed() throws InterruptedException {
    Optional<Answer.End> end = answer.awaitEnd(GIVEN_MAX);
    if (end.isEmpty()) {
      stopGenerating();
      end = Optional.of(answer.awaitEnd());
    }
    boolean kept = end.get() instanceof Answer.End.Whole all && !all.ending().cancelled();
    boolean mine =
        locked(
            () -> {
              ended = true;
              return finishing && (kept || readers == 0);
            });
    if (mine) {
      var unused = finish();
    }
    awaitSettledUp();
  }

  /** Whether anybody still waits. */
  boolean hasReaders() {
    return locked(() -> readers > 0);
  }

  /**
   * Notes the generation, so that it can be stopped. Stops it at once where nobody waits any more.
   */
  void generating(Running newGeneration) {
    boolean unwanted =
        locked(
            () -> {
              generation = newGeneration;
              return readers == 0 && !finishing;
            });
    if (unwanted) {
      newGeneration.cancel();
    }
  }

  void stopGenerating() {
    Running running = locked(() -> generation);
    if (running != null) {
      running.cancel();
    }
  }

  /**
   * Says what is to be done, once, when the answer has been delivered or nobody wants it any more.
   */
  void whenDelivered(Supplier<Boolean> newSettleUp) {
    boolean unwanted =
        locked(
            () -> {
              settleUp = newSettleUp;
              return readers == 0 && !finishing;
            });
    if (unwanted) {
      var unused = finish();
    }
  }

  /** A reader has all tokens up to this one. */
  public void delivered(long completionTokens) {
    locked(() -> deliveredTokens = Math.max(deliveredTokens, completionTokens));
  }

  /**
   * A reader is about to get the whole answer in one piece; or has all its text, though its last
   * tokens had none.
   */
  public void deliveredWhole() {
    locked(() -> whole = true);
  }

  boolean wholeDelivered() {
    return locked(() -> whole);
  }

  long deliveredTokens() {
    return locked(() -> deliveredTokens);
  }

  /**
   * A reader has the whole answer, or all there will be of it. Settles up, if nobody has, and
   * returns when that is done.
   *
   * @return whether it could be written down
   */
  public boolean finish() {
    boolean mine =
        locked(
            () -> {
              closed = true;
              boolean first = !settling;
              settling = true;
              return first;
            });
    if (mine) {
      Supplier<Boolean> how = locked(() -> settleUp);
      try {
        settled.complete(how == null || how.get());
      } catch (RuntimeException e) {
        settled.completeExceptionally(e);
        throw e;
      }
    }
    return settled.join();
  }

  /** Waits until somebody has settled up. */
  private void awaitSettledUp() throws InterruptedException {
    try {
      var unused = settled.get();
    } catch (ExecutionException e) {
      // Whoever settled up has said why it failed.
    }
  }

  /**
   * A reader leaves, having all or not. The last one to leave in the middle stops the generation
   * and settles up, unless the answer is to be finished.
   */
  public void leave() {
    boolean last =
        locked(
            () -> {
              boolean goesOn = finishing && !ended;
              boolean inTheMiddle = --readers == 0 && !closed && !goesOn;
              closed |= inTheMiddle; // who comes now must not get the stump
              return inTheMiddle;
            });
    if (last) {
      stopGenerating();
      if (locked(() -> settleUp) != null) {
        var unused = finish();
      }
    }
  }

  private <T extends @Nullable Object> T locked(Supplier<T> body) {
    lock.lock();
    try {
      return body.get();
    } finally {
      lock.unlock();
    }
  }
}
