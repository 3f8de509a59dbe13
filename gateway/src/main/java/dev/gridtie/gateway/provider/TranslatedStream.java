package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.answer.Room;
import dev.gridtie.wire.SseReader;
import dev.gridtie.wire.chat.Collector;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Translator.MalformedStreamException;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;

/** A server's stream in another dialect than the client's: read into events, written out again. */
final class TranslatedStream implements Pipe {
  /** The longest answer that is translated, in characters. */
  private static final int ANSWER_MAX = 16 * 1024 * 1024;

  private final AnswerSink sink;
  private final Meter meter;
  private final SseReader sse = new SseReader();
  private final Translator.StreamReader reader;
  private final Translator.StreamWriter writer;
  private final Collector collector = new Collector();
  private final StringBuilder out = new StringBuilder();
  private final StringBuilder text = new StringBuilder();

  /** Nothing goes out before there is something to say: until then another server could do it. */
  private boolean speaking;

  private FinishReason finish = FinishReason.STOP;
  private long characters;
  private boolean over;
  private final Room.Lease room;

  /**
   * @param room what is collected of the answer is counted there
   */
  TranslatedStream(Translator server, Job job, Meter meter, AnswerSink sink, Room.Lease room) {
    this.sink = sink;
    this.meter = meter;
    this.room = room;
    this.reader = server.streamReader();
    this.writer = job.client().streamWriter(job.head().orElseThrow());
  }

  @Override
  public void push(Buffer bytes) {
    if (over) {
      return;
    }
    try {
      for (String data : sse.push(bytes.getBytes())) {
        take(reader.read(data));
      }
      if (characters > ANSWER_MAX) {
        fail(Failures.malformed());
      } else if (!room.grow(bytes.length())) {
        flush();
        fail(Failures.noRoom());
      } else {
        flush();
      }
      if (!over && meter.isOver()) {
        cut();
      }
    } catch (SseReader.TooLongException | MalformedStreamException e) {
      fail(Failures.malformed());
    }
  }

  @Override
  public void end() {
    if (!over) {
      take(reader.end());
    }
  }

  @Override
  public void broken() {
    if (!over) {
      fail(Failures.cut(meter.spent(collector.usage())));
    }
  }

  @Override
  public boolean isOver() {
    return over;
  }

  private void take(List<StreamEvent> events) {
    for (StreamEvent event : events) {
      if (over) {
        return;
      }
      switch (event) {
        case StreamEvent.Failed failed -> {
          flush();
          fail(
              Failure.of(Failure.Kind.TRANSIENT, failed.error())
                  .with(meter.spent(collector.usage())));
        }
        case StreamEvent.Ended ended -> {
          Usage usage = meter.checked(collector.usage());
          if (usage.estimated()) { // the client shall see what it is charged for
            out.append(writer.write(new StreamEvent.UsageReported(usage)));
          }
          out.append(writer.write(event));
          ended(usage);
        }
        default -> {
          if (event instanceof StreamEvent.Finished) {
            flush(); // what closes the answer waits for its end
            speaking = false;
          }
          collector.add(event);
          measure(event);
          out.append(writer.write(event));
        }
      }
    }
  }

  /** Ends an answer that its server does not end where it was to. */
  private void cut() {
    finish = FinishReason.LENGTH;
    Usage usage = meter.spent(collector.usage());
    out.append(writer.write(new StreamEvent.Finished(finish, null)));
    out.append(writer.write(new StreamEvent.UsageReported(usage)));
    out.append(writer.write(new StreamEvent.Ended()));
    ended(usage);
  }

  private void ended(Usage usage) {
    over = true;
    List<Part> parts = collector.parts();
    sink.ended(
        new Ending(
            finish,
            usage,
            false,
            Buffer.buffer(out.toString()),
            Seals.worthRemembering(parts) ? parts : List.of()));
  }

  private void measure(StreamEvent event) {
    switch (event) {
      case StreamEvent.TextDelta e -> {
        text.append(e.text());
        said(e.text());
      }
      case StreamEvent.ReasoningDelta e -> said(e.text());
      case StreamEvent.RefusalDelta e -> said(e.text());
      case StreamEvent.ToolCallStarted e -> said(e.name());
      case StreamEvent.ToolArgumentsDelta e -> said(e.json());
      case StreamEvent.Finished e -> finish = e.reason();
      default -> {}
    }
  }

  private void said(String piece) {
    speaking = true;
    meter.said(piece);
    characters += piece.length();
  }

  private void flush() {
    if (speaking && !out.isEmpty()) {
      Piece piece =
          new Piece(
              Buffer.buffer(out.toString()),
              text.toString(),
              PromptBound.estimateOfText(characters));
      out.setLength(0);
      text.setLength(0);
      sink.piece(piece);
    }
  }

  private void fail(Failure failure) {
    over = true;
    sink.failed(failure);
  }
}
