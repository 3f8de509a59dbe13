package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.RelaySink;
import dev.gridtie.gateway.watch.Seen;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import org.jspecify.annotations.Nullable;

/**
 * Hands one answer on to one client as it comes, on whatever thread it comes; and keeps account of
 * what the client was given. State: guarded by its own monitor.
 */
final class Delivery implements RelaySink {
  private final Asked asked;
  private final boolean stream;
  private final long promptEstimate;
  private final Account account;
  private final boolean keepWords;
  private final StringBuilder said = new StringBuilder();
  private Running running = Running.NOTHING;
  private @Nullable Leg leg;
  private @Nullable Leg toAnswer;
  private Beginning beginning = Beginning.PLAIN;
  private Buffer whole = Buffer.buffer();
  private long tokens;
  private long firstByteNanos;
  private boolean begun;
  private boolean over;

  /** What became of a request, for the accounts: told once. */
  interface Account {
    /** Puts the headers that go with the answer. */
    void headers(Reply reply, Leg leg);

    /** It is over: what is to be charged is the usage. */
    void ended(Result result);
  }

  /**
   * How a request ended.
   *
   * @param leg who answered; null where nobody did
   * @param usage what the client was given
   * @param outcome {@code ok}, {@code cut}, {@code cancelled} or {@code failed}
   * @param firstByteNanos {@link System#nanoTime()}; 0 where none came
   * @param ending of an answer that came whole
   * @param said its beginning, where that is kept; else empty
   */
  record Result(
      @Nullable Leg leg,
      Usage usage,
      String outcome,
      String finish,
      long firstByteNanos,
      @Nullable Ending ending,
      String said) {}

  /**
   * @param promptEstimate tokens of the prompt, where the source does not get to say
   * @param keepWords whether those who watch may see the answer
   */
  Delivery(Asked asked, boolean stream, long promptEstimate, boolean keepWords, Account account) {
    this.asked = asked;
    this.stream = stream;
    this.promptEstimate = promptEstimate;
    this.keepWords = keepWords;
    this.account = account;
  }

  /** Notes how to stop the answer, for when the client goes away. */
  void running(Running newRunning) {
    boolean late;
    synchronized (this) {
      running = newRunning;
      late = over;
    }
    if (late) {
      newRunning.cancel();
    } else {
      asked.reply().whenGone(this::clientGone);
    }
  }

  @Override
  public synchronized void asked(Leg newLeg) {
    toAnswer = newLeg;
  }

  @Override
  public synchronized void committed(Leg newLeg) {
    leg = newLeg;
  }

  @Override
  public synchronized void begun(Beginning newBeginning) {
    beginning = newBeginning;
  }

  @Override
  public void piece(Piece piece) {
    synchronized (this) {
      if (over) {
        return;
      }
      if (firstByteNanos == 0) {
        firstByteNanos = System.nanoTime();
      }
      tokens = piece.tokens();
      if (keepWords && said.length() < Seen.WORDS_MAX) {
        said.append(piece.said());
      }
      if (!stream) {
        whole.appendBuffer(piece.bytes());
        return;
      }
    }
    begin();
    asked.reply().send(piece.bytes(), running);
  }

  private void begin() {
    if (!begun) {
      begun = true;
      headers();
      asked.reply().beginStream(asked.inbound().streamType());
    }
  }

  private void headers() {
    Leg by = leg;
    if (by != null) {
      account.headers(asked.reply(), by);
      asked.reply().header("X-Gridtie-Provider", by.endpoint().provider());
      asked.reply().header("X-Gridtie-Quantization", by.endpoint().quantization());
    }
    asked.reply().began(beginning);
    asked.reply().header("Cache-Control", "private, no-store");
  }

  @Override
  public void ended(Ending ending) {
    if (!finish()) {
      return;
    }
    // Charged before the last bytes go: who has the whole answer has been charged for it.
    account.ended(
        new Result(
            leg,
            ending.usage(),
            ending.cancelled() ? "cancelled" : "ok",
            finish(ending.finish()),
            firstByteNanos,
            ending,
            said.toString()));
    if (stream) {
      begin();
      asked.reply().endStream(ending.tail());
    } else {
      headers();
      asked.reply().sendWhole(200, "application/json", whole.appendBuffer(ending.tail()));
    }
  }

  private static String finish(FinishReason reason) {
    return reason.name().toLowerCase(java.util.Locale.ROOT);
  }

  @Override
  public void failed(Failure failure) {
    if (!finish()) {
      return;
    }
    if (begun) {
      account.ended(
          new Result(
              leg,
              delivered(failure.usage()),
              "cut",
              "error",
              firstByteNanos,
              null,
              said.toString()));
      asked.reply().endStream(Buffer.buffer(errorEvent(failure.error())));
    } else {
      account.ended(new Result(leg, Usage.NONE, "failed", "error", 0, null, ""));
      asked.reply().error(failure.error());
    }
  }

  /** The status is out: a typed event says it, so that nobody takes this for whole. */
  private String errorEvent(ApiError error) {
    Translator translator = asked.inbound().translator();
    ChatRequest unread = ChatRequest.unread("", translator.dialect(), true);
    return translator
        .streamWriter(new Translator.Head("", "", 0, unread))
        .write(new StreamEvent.Failed(error));
  }

  /** What a client was given of an answer that broke off: as reported, else as estimated. */
  private Usage delivered(Usage reported) {
    if (tokens == 0 || reported.output() > 0) {
      return reported;
    }
    long input = reported.input() > 0 ? reported.input() : promptEstimate;
    return new Usage(
        input,
        Math.min(reported.cacheRead(), input),
        Math.min(reported.cacheWrite(), input),
        Math.max(1, tokens),
        0,
        true);
  }

  /** The client hung up: nothing more is made for it. */
  private void clientGone() {
    boolean unused = stop("cancelled", "cancelled");
  }

  /** The client may have no more of it: it is told so, in the stream where that has begun. */
  void stop(ApiError error) {
    if (!stop("cut", "error")) {
      return;
    }
    if (begun) {
      asked.reply().endStream(Buffer.buffer(errorEvent(error)));
    } else {
      asked.reply().error(error);
    }
  }

  /**
   * Stops the answer. What a server elsewhere was asked, and what has come of it, is charged; of
   * our own engines, what was handed over.
   *
   * @return whether it was not over before
   */
  private boolean stop(String outcome, String finish) {
    Usage spent = running.spent();
    if (!finish()) {
      return false;
    }
    running.cancel();
    Usage usage = begun ? delivered(spent) : spent;
    Leg by = leg == null && !usage.isNothing() ? toAnswer : leg;
    account.ended(new Result(by, usage, outcome, finish, firstByteNanos, null, said.toString()));
    return true;
  }

  private synchronized boolean finish() {
    boolean first = !over;
    over = true;
    return first;
  }
}
