package dev.gridtie.gateway.relay;

import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.wire.ApiError;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * An answer while it is generated: one writes, any number read from the beginning, each at its own
 * pace. Never larger than the tokens that were asked for.
 */
public final class Answer implements AnswerSource.Sink {
  /**
   * How long a source may say nothing, the wait for a slot included, before its answer counts as
   * broken.
   */
  public static final Duration SILENCE_MAX = Duration.ofMinutes(5);

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final List<Piece> pieces = new ArrayList<>();
  private final Duration silenceMax;
  private @Nullable End end;
  private long changes;

  /**
   * A piece of text.
   *
   * @param completionTokens of the answer up to and with this piece
   */
  public record Piece(String text, int completionTokens) {}

  /** How an answer ended. */
  public sealed interface End {
    record Whole(EndReason reason, int promptTokens, int completionTokens) implements End {}

    record Broken(ApiError error) implements End {}
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
  public void text(String text, int completionTokens) {
    change(() -> pieces.add(new Piece(text, completionTokens)));
  }

  @Override
  public void ended(EndReason reason, int promptTokens, int completionTokens) {
    change(() -> end = new End.Whole(reason, promptTokens, completionTokens));
  }

  @Override
  public void failed(ApiError error) {
    change(() -> end = new End.Broken(error));
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
      end =
          new End.Broken(
              ApiError.of(
                  ApiError.Kind.UNAVAILABLE,
                  "engine_stalled",
                  "the engine has said nothing for too long"));
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

  /** The text so far, of at most this many tokens. */
  public String text(int completionTokensMax) {
    lock.lock();
    try {
      StringBuilder text = new StringBuilder();
      for (Piece piece : pieces) {
        if (piece.completionTokens() <= completionTokensMax) {
          text.append(piece.text());
        }
      }
      return text.toString();
    } finally {
      lock.unlock();
    }
  }
}
