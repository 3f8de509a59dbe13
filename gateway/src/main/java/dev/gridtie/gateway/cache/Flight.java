package dev.gridtie.gateway.cache;

import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.RelaySink;
import dev.gridtie.wire.chat.Usage;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * One answer given to all who asked the same while it was under way. It is stopped when the last of
 * them has gone. State: guarded by its own monitor.
 */
public final class Flight implements RelaySink {
  private final AnswerCache cache;
  private final String name;
  private final Answer answer = new Answer();
  private Running running = Running.NOTHING;
  private int readers = 1;
  private boolean over;
  private volatile @Nullable Leg leg;
  private volatile @Nullable Leg asked;

  Flight(AnswerCache cache, String name) {
    this.cache = cache;
    this.name = name;
  }

  synchronized boolean join() {
    if (over && readers == 0) {
      return false;
    }
    readers++;
    return true;
  }

  /** Notes how to stop it. */
  public void running(Running newRunning) {
    boolean unwanted;
    synchronized (this) {
      running = newRunning;
      unwanted = readers == 0;
    }
    if (unwanted) {
      newRunning.cancel();
    }
  }

  /** One who joined has it, or has gone. */
  public void leave() {
    Running stop = Running.NOTHING;
    synchronized (this) {
      if (--readers == 0) {
        answer.release();
        if (!over) {
          over = true;
          stop = running;
        }
      }
    }
    if (stop != Running.NOTHING) {
      cache.landed(name, this);
      stop.cancel();
    }
  }

  public Answer answer() {
    return answer;
  }

  /** Who gives it; null before its first byte. */
  public @Nullable Leg leg() {
    return leg;
  }

  /** Who is to give it; null before anybody is asked. */
  public @Nullable Leg toAnswer() {
    return asked;
  }

  /** What it has used until now. */
  public synchronized Usage spent() {
    return running.spent();
  }

  @Override
  public void asked(Leg newLeg) {
    asked = newLeg;
  }

  @Override
  public void committed(Leg newLeg) {
    leg = newLeg;
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
    Leg by = leg;
    answer.ended(ending);
    if (by != null && !ending.cancelled()) {
      String finish = ending.finish().name().toLowerCase(Locale.ROOT);
      cache.keep(name, answer.bytes(), ending.usage(), finish, by);
    }
    land();
  }

  @Override
  public void failed(Failure failure) {
    answer.failed(failure);
    land();
  }

  private void land() {
    synchronized (this) {
      over = true;
    }
    cache.landed(name, this);
  }
}
