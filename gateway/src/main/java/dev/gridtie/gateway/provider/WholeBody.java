package dev.gridtie.gateway.provider;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.answer.Room;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.Collector;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** A server's answer that comes as one document: passed on as it is, or written anew. */
final class WholeBody implements Pipe {
  /** The longest document that is taken. */
  static final int BYTES_MAX = 16 * 1024 * 1024;

  /** How much a document takes in memory once it is read, in its own sizes. */
  static final int READ_FACTOR = 3;

  private final Translator server;
  private final Job job;
  private final boolean verbatim;
  private final Meter meter;
  private final AnswerSink sink;
  private final Buffer body = Buffer.buffer();
  private final Room.Lease room;
  private boolean over;

  /**
   * @param room what is collected is counted there
   */
  WholeBody(
      Translator server, Job job, boolean verbatim, Meter meter, AnswerSink sink, Room.Lease room) {
    this.server = server;
    this.job = job;
    this.verbatim = verbatim;
    this.meter = meter;
    this.sink = sink;
    this.room = room;
  }

  @Override
  public void push(Buffer bytes) {
    if (over) {
      return;
    }
    if (body.length() + bytes.length() > BYTES_MAX) {
      fail(Failures.malformed());
    } else if (!room.grow((long) READ_FACTOR * bytes.length())) {
      fail(Failures.noRoom());
    } else {
      body.appendBuffer(bytes);
    }
  }

  @Override
  public void end() {
    if (over) {
      return;
    }
    try {
      byte[] bytes = body.getBytes();
      JsonNode json = Json.parse(bytes);
      StringBuilder said = new StringBuilder();
      AnswerScan.ofWhole(server.dialect()).read(bytes, 0, bytes.length, said);
      meter.said(said);
      if (verbatim) {
        over = true;
        UsageTap.Seen seen = UsageTap.whole(server.dialect(), json);
        Usage usage = meter.checked(seen.usage());
        sink.piece(new Piece(body, null, usage.output()));
        sink.ended(new Ending(seen.finish(), usage, false, Buffer.buffer(), List.of()));
        return;
      }
      switch (server.readAnswer(json)) {
        case Outcome.Refused<ChatAnswer> refused -> fail(Failures.malformed());
        case Outcome.Ok<ChatAnswer> ok -> give(ok.value(), meter.checked(ok.value().usage()));
      }
    } catch (Json.MalformedJsonException e) {
      fail(Failures.malformed());
    }
  }

  private void give(ChatAnswer claimed, Usage usage) {
    ChatAnswer answer = claimed.withUsage(usage);
    if (answer.finish() == FinishReason.ERROR && answer.parts().isEmpty()) {
      fail(
          Failures.transientFailure("upstream_failed", "The model's server could not answer.")
              .with(answer.usage()));
      return;
    }
    over = true;
    Translator.Head head = job.head().orElseThrow();
    Buffer bytes;
    if (job.stream()) { // the server would not stream; the client shall still have its events
      Translator.StreamWriter writer = job.client().streamWriter(head);
      StringBuilder events = new StringBuilder();
      Collector.events(answer).forEach(e -> events.append(writer.write(e)));
      bytes = Buffer.buffer(events.toString());
    } else {
      bytes = Buffer.buffer(Json.writeBytes(job.client().writeAnswer(answer, head)));
    }
    sink.piece(new Piece(bytes, answer.text(), answer.usage().output()));
    List<Part> remembered = Seals.worthRemembering(answer.parts()) ? answer.parts() : List.of();
    sink.ended(new Ending(answer.finish(), answer.usage(), false, Buffer.buffer(), remembered));
  }

  @Override
  public void broken() {
    if (!over) {
      fail(Failures.transientFailure("upstream_cut", "The model's server broke off."));
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
