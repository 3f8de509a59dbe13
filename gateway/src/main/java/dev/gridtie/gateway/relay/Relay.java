package dev.gridtie.gateway.relay;

import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Sends a request to the endpoints of its plan, one after the other, until one answers. Failures
 * decide by their class: a refused key, or too much asked of one, means another at once; an unwell
 * server means another, or the same after a pause; a bad request means nobody. A slow first byte is
 * hedged. After the first byte nothing is spliced.
 */
public final class Relay {
  /** How often a request is sent in all. */
  static final int ATTEMPTS_MAX = 5;

  /** The pause before the same channel is tried again, doubled each time. */
  private static final long BACKOFF_MS = 500;

  private static final long BACKOFF_MS_MAX = 5_000;

  /** A hedge sooner than this would mean asking twice for everything that is quick. */
  private static final long HEDGE_MS_MIN = 50;

  /** So many requests must have been seen before their percentiles mean anything. */
  private static final int HEDGE_REQUESTS_MIN = 20;

  /** How long a request waits for a turn with nodes that are busy, where others would answer. */
  private static final Duration BUSY_WAIT_MAX = Duration.ofSeconds(2);

  private final Vertx vertx;
  private final RandomGenerator random;
  private final HedgeBudget hedges;

  public Relay(Vertx vertx, RandomGenerator random, HedgeBudget hedges) {
    this.vertx = vertx;
    this.random = random;
    this.hedges = hedges;
  }

  /** Starts a request on its way; the sink hears what comes of it. */
  public Running run(Plan plan, Job job, RelaySink sink) {
    hedges.request();
    Run run = new Run(plan, job, sink);
    run.next(Optional.empty());
    return run;
  }

  /**
   * Where to send a request, and at which of its keys.
   *
   * @param again whether it was too busy before
   */
  private record Stop(Leg leg, Channel channel, boolean again) {
    Stop(Leg leg, Channel channel) {
      this(leg, channel, false);
    }

    Endpoint endpoint() {
      return leg.endpoint();
    }
  }

  /** One request on its way. State: guarded by its own monitor; sinks are called outside of it. */
  private final class Run implements Running {
    private final Plan plan;
    private final Job job;
    private final RelaySink sink;
    private final Deque<Stop> ahead = new ArrayDeque<>();
    private final List<Attempt> open = new ArrayList<>();
    private int attempts;
    private int pauses;
    private boolean over;
    private @Nullable Attempt winner;
    private @Nullable Failure worst;

    Run(Plan plan, Job job, RelaySink sink) {
      this.plan = plan;
      this.job = job;
      this.sink = sink;
      plan.legs().forEach(l -> l.endpoint().channels().forEach(c -> ahead.add(new Stop(l, c))));
    }

    /** Tries the next stop that may be tried; where none is left, says what went wrong. */
    void next(Optional<Stop> again) {
      Attempt attempt = null;
      Failure failure = null;
      boolean hedging = false;
      synchronized (this) {
        if (over || winner != null) {
          return;
        }
        Stop stop = attempts >= ATTEMPTS_MAX ? null : again.orElseGet(this::passable);
        if (stop != null) {
          attempts++;
          attempt = new Attempt(this, stop);
          hedging = !open.isEmpty();
          open.add(attempt);
        } else if (open.isEmpty()) {
          over = true;
          failure = worst == null ? unavailable() : worst;
        }
      }
      if (attempt != null) {
        if (!hedging) {
          sink.asked(attempt.stop.leg());
        }
        attempt.begin();
      } else if (failure != null) {
        sink.failed(failure);
      }
    }

    private @Nullable Stop passable() {
      while (!ahead.isEmpty()) {
        Stop stop = ahead.poll();
        if (stop.channel().breaker().tryPass()) {
          return stop;
        }
      }
      return null;
    }

    /** Nobody could be asked: because all are busy, or because all are unwell. */
    private Failure unavailable() {
      boolean busy =
          plan.legs().stream()
              .flatMap(l -> l.endpoint().channels().stream())
              .anyMatch(c -> c.breaker().isRateLimited());
      if (busy) {
        return Failure.of(
            Failure.Kind.RATE,
            ApiError.of(
                ApiError.Kind.RATE_LIMITED,
                "upstream_rate_limited",
                "The model's servers take no more requests at the moment; try again soon."));
      }
      return Failure.of(
          Failure.Kind.TRANSIENT,
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "endpoints_unavailable",
              "All servers of this model have failed lately and are left alone for a moment. Try"
                  + " again soon."));
    }

    /** This attempt has something to say: whether it is the one to say it. */
    boolean wins(Attempt attempt) {
      List<Attempt> losers;
      synchronized (this) {
        if (over || (winner != null && winner != attempt)) {
          return false;
        }
        if (winner == attempt) {
          return true;
        }
        winner = attempt;
        open.remove(attempt);
        losers = List.copyOf(open);
        open.clear();
      }
      losers.forEach(Attempt::giveUp);
      sink.committed(attempt.stop.leg());
      return true;
    }

    /** An attempt failed before it had said anything. */
    void failedEarly(Attempt attempt, Failure failure) {
      boolean wait;
      boolean hopeless;
      List<Attempt> others = List.of();
      synchronized (this) {
        open.remove(attempt);
        if (over || winner != null) {
          return;
        }
        worst = worse(worst, failure);
        if (failure.kind() == Failure.Kind.BUSY && !ahead.isEmpty() && !attempt.stop.again()) {
          ahead.add(new Stop(attempt.stop.leg(), attempt.stop.channel(), true));
        }
        hopeless = failure.kind() == Failure.Kind.REQUEST || failure.kind() == Failure.Kind.OURS;
        if (hopeless) {
          over = true;
          others = List.copyOf(open);
          open.clear();
        }
        wait =
            ahead.isEmpty()
                && open.isEmpty()
                && attempts < ATTEMPTS_MAX
                && failure.kind() == Failure.Kind.TRANSIENT;
      }
      if (hopeless) {
        others.forEach(Attempt::giveUp);
        sink.failed(failure);
      } else if (wait) {
        pause(() -> next(again(attempt.stop)));
      } else {
        next(Optional.empty());
      }
    }

    private Optional<Stop> again(Stop stop) {
      return stop.channel().breaker().tryPass() ? Optional.of(stop) : Optional.empty();
    }

    private void pause(Runnable then) {
      long ms = Math.min(BACKOFF_MS << pauses++, BACKOFF_MS_MAX);
      long jittered = (long) (ms * (0.8 + 0.4 * random.nextDouble()));
      long unused = vertx.setTimer(Math.max(1, jittered), id -> then.run());
    }

    /** What a client can do something about says more than what it cannot. */
    private static Failure worse(@Nullable Failure before, Failure now) {
      return before == null || now.kind() != Failure.Kind.KEY ? now : before;
    }

    /** The first byte is late: asks a second endpoint, where that is allowed. */
    void hedge() {
      synchronized (this) {
        boolean allowed =
            plan.hedge() && !over && winner == null && open.size() == 1 && !ahead.isEmpty();
        if (!allowed || !hedges.trySpend()) {
          return;
        }
      }
      next(Optional.empty());
    }

    /** Whether somebody else would answer what this one is too busy for. */
    synchronized boolean hasElsewhere(Stop stop) {
      return !stop.again() && ahead.stream().anyMatch(s -> s.endpoint() != stop.endpoint());
    }

    boolean mayHedge() {
      return plan.hedge() && plan.legs().size() > 1;
    }

    /** Of several that are asked at once, the first; the others are the operator's cost. */
    @Override
    public Usage spent() {
      List<Attempt> asked;
      synchronized (this) {
        asked = winner == null ? List.copyOf(open) : List.of(winner);
      }
      return asked.stream()
          .filter(a -> !a.stop.endpoint().isLocal())
          .map(a -> a.running().spent())
          .filter(u -> !u.isNothing())
          .findFirst()
          .orElse(Usage.NONE);
    }

    @Override
    public void cancel() {
      Usage spent = spent();
      List<Attempt> running;
      synchronized (this) {
        if (over) {
          return;
        }
        over = true;
        running = new ArrayList<>(open);
        if (winner != null) {
          running.add(winner);
        }
        open.clear();
      }
      running.forEach(Attempt::giveUp);
      sink.ended(new Ending(FinishReason.STOP, spent, true, Buffer.buffer(), List.of()));
    }

    /** The answer has come to its end, good or bad; whether it was still wanted. */
    synchronized boolean end() {
      boolean first = !over;
      over = true;
      return first;
    }

    @Override
    public void pause() {
      Attempt speaking = winner;
      if (speaking != null) {
        speaking.running().pause();
      }
    }

    @Override
    public void resume() {
      Attempt speaking = winner;
      if (speaking != null) {
        speaking.running().resume();
      }
    }
  }

  /** One sending of a request. */
  private final class Attempt implements AnswerSink {
    private final Run run;
    private final Stop stop;
    private final long began = System.nanoTime();
    private volatile Running running = Running.NOTHING;
    private Beginning beginning = Beginning.PLAIN;
    private long firstByte;
    private long tokens;
    private long hedgeTimer = -1;
    private volatile boolean done;

    Attempt(Run run, Stop stop) {
      this.run = run;
      this.stop = stop;
    }

    Running running() {
      return running;
    }

    void begin() {
      stop.endpoint().health().began();
      if (run.mayHedge() && stop.endpoint().health().requests() >= HEDGE_REQUESTS_MIN) {
        long late = Math.max(HEDGE_MS_MIN, stop.endpoint().health().firstByte(95).toMillis());
        hedgeTimer =
            vertx.setTimer(
                late,
                id -> {
                  if (!done && firstByte == 0) {
                    run.hedge();
                  }
                });
      }
      Job job = run.plan.heads().head(stop.leg()).map(run.job::withHead).orElse(run.job);
      if (run.hasElsewhere(stop)) {
        job = job.at(job.place().before(BUSY_WAIT_MAX));
      }
      try {
        running = job.startAt(stop.channel().source(), this);
      } catch (RuntimeException e) {
        // A bug of ours must not leave a client waiting and money held.
        System.err.println("gridtie: starting an answer: " + e);
        failed(Failure.internal());
      }
      if (done) {
        running.cancel();
      }
    }

    @Override
    public void begun(Beginning newBeginning) {
      beginning = newBeginning;
    }

    @Override
    public void piece(Piece piece) {
      if (done) {
        return;
      }
      if (firstByte == 0) {
        if (!run.wins(this)) {
          giveUp();
          return;
        }
        firstByte = System.nanoTime();
        run.sink.begun(beginning);
      }
      tokens = piece.tokens();
      run.sink.piece(piece);
    }

    @Override
    public void ended(Ending ending) {
      if (done) {
        return;
      }
      boolean first = firstByte == 0;
      if (first && !run.wins(this)) {
        giveUp();
        return;
      }
      if (first) {
        run.sink.begun(beginning);
      }
      finish();
      stop.channel().breaker().succeeded();
      tokens = Math.max(tokens, ending.usage().output());
      measured(true);
      if (run.end()) {
        run.sink.ended(ending);
      }
    }

    @Override
    public void failed(Failure failure) {
      if (done) {
        return;
      }
      finish();
      blame(failure);
      running.cancel();
      if (firstByte == 0) {
        run.failedEarly(this, failure);
      } else if (run.end()) {
        run.sink.failed(failure);
      }
    }

    private void blame(Failure failure) {
      switch (failure.kind()) {
        case REQUEST, OURS, UNFIT, BUSY -> {
          stop.channel().breaker().undecided();
          stop.endpoint().health().dropped();
          return;
        }
        case KEY -> stop.channel().breaker().keyRefused();
        case RATE ->
            stop.channel()
                .breaker()
                .holdOff(failure.retryAfter().orElse(Duration.ofMillis(BACKOFF_MS_MAX)));
        case TRANSIENT -> stop.channel().breaker().failed();
      }
      measured(false);
    }

    private void measured(boolean well) {
      long now = System.nanoTime();
      Duration first = Duration.ofNanos(firstByte == 0 ? now - began : firstByte - began);
      Duration writing = Duration.ofNanos(firstByte == 0 ? 0 : now - firstByte);
      stop.endpoint().health().ended(well, first, tokens, writing);
    }

    private void finish() {
      done = true;
      if (hedgeTimer >= 0) {
        boolean unused = vertx.cancelTimer(hedgeTimer);
      }
    }

    /** Nobody wants this any more. */
    void giveUp() {
      if (done) {
        return;
      }
      finish();
      stop.channel().breaker().undecided();
      stop.endpoint().health().dropped();
      running.cancel();
    }
  }
}
