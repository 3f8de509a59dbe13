package dev.gridtie.gateway.answer;

import dev.gridtie.wire.ApiError;
import io.vertx.core.buffer.Buffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * An answer while it is given: one writes, any number read from the beginning, each at its own
 * pace. Never larger than {@link #BYTES_MAX}.
 */
public final class Answer implements AnswerSink {
  /**
   * How long a source may say nothing, the wait for a slot included, before its answer counts as
   * broken.
   */
  public static final Duration SILENCE_MAX = Duration.ofMinutes(10);

  /** The longest answer that is kept while it is given. */
  public static final int BYTES_MAX = 32 * 1024 * 1024;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final List<Piece> pieces = new ArrayList<>();
  private final Duration silenceMax;
  private final Room.Lease room = Room.OF_PROCESS.lease();
  private @Nullable End end;
  private long changes;
  private long length;
  private volatile Beginning beginning = Beginning.PLAIN;

  /** How an answer ended. */
  public sealed interface End {
    record Whole(Ending ending) implements End {}

    record Broken(Failure failure) implements End {}
  }

  /**
   * What a reader finds at its place: the pieces that have come since, at least one, or the end.
   */
  public sealed interface Next {
    record Text(List<Piece> pieces) implements Next {}

    record Ended(End end) implements Next {}
  }

  public Answer() {
    this(SILENCE_MAX);
  }

  Answer(Duration silenceMax) {
    this.silenceMax = silenceMax;
  }

  @Override
  public void begun(Beginning newBeginning) {
    beginning = newBeginning;
  }

  /** What was known of it when it began. */
  public Beginning beginning() {
    return beginning;
  }

  @Override
  public void piece(Piece piece) {
    change(
        () -> {
          length += piece.bytes().length();
          if (length > BYTES_MAX) {
            end = new End.Broken(broken("answer_too_long", "The answer is too long to be kept"));
          } else if (!room.grow(piece.bytes().length())) {
            end =
                new End.Broken(
                    broken(
                        "answers_full",
                        "The answers under way take all the memory there is for them"));
          } else {
            pieces.add(piece);
          }
        });
  }

  @Override
  public void ended(Ending ending) {
    change(() -> end = new End.Whole(ending));
  }

  @Override
  public void failed(Failure failure) {
    change(() -> end = new End.Broken(failure));
  }

  private static Failure broken(String code, String message) {
    return Failure.of(
        Failure.Kind.TRANSIENT, ApiError.of(ApiError.Kind.UNAVAILABLE, code, message));
  }

  private void change(Runnable what) {
    lock.lock();
    try {
      if (end == null) {
        what.run();
        changes++;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Waits for something new; where nothing comes for too long, the answer has broken. */
  private void awaitChange() throws InterruptedException {
    long seen = changes;
    boolean signalled = changed.await(silenceMax.toMillis(), TimeUnit.MILLISECONDS);
    if (!signalled && seen == changes && end == null) {
      end = new End.Broken(broken("engine_stalled", "The model has said nothing for too long"));
      changed.signalAll();
    }
  }

  /**
   * Waits for the piece at {@code index}, and gives it with all behind it; or the end where there
   * is none.
   */
  public Next await(int index) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (index >= pieces.size() && end == null) {
        awaitChange();
      }
      return index < pieces.size()
          ? new Next.Text(List.copyOf(pieces.subList(index, pieces.size())))
          : new Next.Ended(Objects.requireNonNull(end));
    } finally {
      lock.unlock();
    }
  }

  /** Nobody new will read it: what it takes of the room for answers is given back. */
  public void release() {
    room.close();
  }

  /** The end, where it has come. */
  public Optional<End> endIfAny() {
    lock.lock();
    try {
      return Optional.ofNullable(end);
    } finally {
      lock.unlock();
    }
  }

  /** Waits for the end. */
  public End awaitEnd() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (end == null) {
        awaitChange();
      }
      return end;
    } finally {
      lock.unlock();
    }
  }

  /** Waits for the end, at most so long; empty where it has not come. */
  public Optional<End> awaitEnd(Duration patience) throws InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    lock.lockInterruptibly();
    try {
      while (end == null && System.nanoTime() < deadline) {
        awaitChange();
      }
      return Optional.ofNullable(end);
    } finally {
      lock.unlock();
    }
  }

  /** The text so far, of at most this many tokens. */
  public String text(long tokensMax) {
    lock.lock();
    try {
      StringBuilder text = new StringBuilder();
      for (Piece piece : pieces) {
        if (piece.tokens() <= tokensMax) {
          text.append(piece.said());
        }
      }
      return text.toString();
    } finally {
      lock.unlock();
    }
  }

  /** All bytes so far. */
  public Buffer bytes() {
    lock.lock();
    try {
      Buffer all = Buffer.buffer((int) length);
      pieces.forEach(p -> all.appendBuffer(p.bytes()));
      if (end instanceof End.Whole whole) {
        all.appendBuffer(whole.ending().tail());
      }
      return all;
    } finally {
      lock.unlock();
    }
  }
}
