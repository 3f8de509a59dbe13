package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.wire.SseReader;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;

/**
 * A server's stream in the client's own dialect: whole lines pass untouched. Left out are only the
 * usage that the client did not ask for and errors, which are said in our words.
 */
final class VerbatimStream implements Pipe {
  private final UsageTap tap;
  private final boolean hideUsage;
  private final Meter meter;
  private final AnswerSink sink;
  private final Buffer tail = Buffer.buffer();
  private byte[] rest = new byte[0];
  private boolean skipBlank;
  private boolean goesOn;
  private boolean over;

  /**
   * @param hideUsage whether the usage was asked for by us alone
   */
  VerbatimStream(Dialect dialect, boolean hideUsage, Meter meter, AnswerSink sink) {
    this.tap = new UsageTap(dialect, meter);
    this.hideUsage = hideUsage;
    this.meter = meter;
    this.sink = sink;
  }

  @Override
  public void push(Buffer buffer) {
    if (over) {
      return;
    }
    byte[] bytes = joined(buffer);
    int from = 0;
    int passed = 0;
    Buffer out = null;
    for (int i = 0; i < bytes.length; i++) {
      if (bytes[i] != '\n') {
        continue;
      }
      boolean blank = i == from || (i == from + 1 && bytes[from] == '\r');
      UsageTap.Line line = tap.line(bytes, from, i);
      boolean hidden = (line == UsageTap.Line.USAGE_ONLY && hideUsage) || (skipBlank && blank);
      skipBlank = line == UsageTap.Line.USAGE_ONLY && hideUsage;
      if (hidden || line == UsageTap.Line.ERROR) {
        out = append(out, bytes, passed, from);
        passed = i + 1;
      }
      if (line == UsageTap.Line.ERROR) {
        emit(out);
        fail(Failure.of(Failure.Kind.TRANSIENT, tap.error().orElseThrow()).with(spent()));
        return;
      }
      from = i + 1;
    }
    rest = from == 0 ? bytes : java.util.Arrays.copyOfRange(bytes, from, bytes.length);
    if (rest.length > SseReader.EVENT_BYTES_MAX) {
      fail(Failures.malformed());
      return;
    }
    if (out == null && passed == 0 && from == bytes.length && bytes.length == buffer.length()) {
      emit(buffer); // the bytes as they came
    } else {
      emit(append(out, bytes, passed, from));
    }
    if (meter.isOver()) {
      over = true;
      Usage usage = spent();
      sink.ended(
          new Ending(FinishReason.LENGTH, usage, false, tap.closing(usage, !hideUsage), List.of()));
    } else if (goesOn) {
      rest = new byte[0];
      end();
    }
  }

  private Usage spent() {
    return meter.spent(tap.seen().usage());
  }

  private byte[] joined(Buffer buffer) {
    byte[] bytes = buffer.getBytes();
    if (rest.length == 0) {
      return bytes;
    }
    byte[] all = java.util.Arrays.copyOf(rest, rest.length + bytes.length);
    System.arraycopy(bytes, 0, all, rest.length, bytes.length);
    return all;
  }

  private static Buffer append(
      @org.jspecify.annotations.Nullable Buffer out, byte[] bytes, int from, int to) {
    Buffer into = out == null ? Buffer.buffer(to - from) : out;
    return to > from ? into.appendBytes(bytes, from, to - from) : into;
  }

  private void emit(@org.jspecify.annotations.Nullable Buffer out) {
    if (out != null && tap.isWhole()) {
      // What closes the answer waits for its end; a server that goes on is not listened to.
      if (tail.length() + out.length() > SseReader.EVENT_BYTES_MAX) {
        goesOn = true;
      } else {
        tail.appendBuffer(out);
      }
    } else if (out != null && out.length() > 0) {
      sink.piece(new Piece(out, null, tap.events()));
    }
  }

  @Override
  public void end() {
    if (over) {
      return;
    }
    if (rest.length > 0) {
      push(Buffer.buffer("\n"));
    }
    if (over) {
      return;
    }
    UsageTap.Seen seen = tap.seen();
    if (!tap.isWhole()) {
      fail(Failures.cut(spent()));
      return;
    }
    over = true;
    sink.ended(new Ending(seen.finish(), meter.checked(seen.usage()), false, tail, List.of()));
  }

  @Override
  public void broken() {
    if (over) {
      return;
    }
    if (tap.isWhole()) { // the server closed without ceremony, and nothing is missing
      end();
    } else {
      fail(Failures.cut(spent()));
    }
  }

  @Override
  public boolean isOver() {
    return over;
  }

  private void fail(Failure failure) {
    over = true;
    sink.failed(failure);
  }
}
