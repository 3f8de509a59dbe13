package dev.gridtie.gateway.watch;

import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import java.time.Instant;
import java.util.List;

/**
 * A span for each request, with the attributes of OpenTelemetry's conventions for generative
 * models. Prompts and answers are among them only where the operator has asked for that.
 */
public final class Traces implements Watch {
  private static final AttributeKey<String> OPERATION =
      AttributeKey.stringKey("gen_ai.operation.name");
  private static final AttributeKey<String> PROVIDER =
      AttributeKey.stringKey("gen_ai.provider.name");
  private static final AttributeKey<String> REQUEST_MODEL =
      AttributeKey.stringKey("gen_ai.request.model");
  private static final AttributeKey<String> RESPONSE_ID =
      AttributeKey.stringKey("gen_ai.response.id");
  private static final AttributeKey<List<String>> FINISH_REASONS =
      AttributeKey.stringArrayKey("gen_ai.response.finish_reasons");
  private static final AttributeKey<Long> INPUT = AttributeKey.longKey("gen_ai.usage.input_tokens");
  private static final AttributeKey<Long> OUTPUT =
      AttributeKey.longKey("gen_ai.usage.output_tokens");
  private static final AttributeKey<String> OUTCOME = AttributeKey.stringKey("gridtie.outcome");
  private static final AttributeKey<Long> FIRST_BYTE =
      AttributeKey.longKey("gridtie.first_byte_ms");

  private static final AttributeKey<String> INPUT_MESSAGES =
      AttributeKey.stringKey("gen_ai.input.messages");
  private static final AttributeKey<String> OUTPUT_MESSAGES =
      AttributeKey.stringKey("gen_ai.output.messages");

  private final Tracer tracer;

  public Traces(OpenTelemetry telemetry) {
    this.tracer = telemetry.getTracer("gridtie");
  }

  @Override
  public void over(Seen seen) {
    Instant end = seen.began().plusMillis(seen.totalMs());
    Span span =
        tracer
            .spanBuilder("chat " + seen.model())
            .setSpanKind(SpanKind.SERVER)
            .setStartTimestamp(seen.began())
            .setAllAttributes(
                Attributes.builder()
                    .put(OPERATION, "chat")
                    .put(PROVIDER, seen.provider())
                    .put(REQUEST_MODEL, seen.model())
                    .put(RESPONSE_ID, seen.id())
                    .put(FINISH_REASONS, List.of(seen.finish()))
                    .put(INPUT, seen.usage().input())
                    .put(OUTPUT, seen.usage().output())
                    .put(OUTCOME, seen.outcome())
                    .put(FIRST_BYTE, seen.firstByteMs())
                    .build())
            .startSpan();
    Seen.Words words = seen.words();
    if (words != null) {
      span.setAttribute(INPUT_MESSAGES, words.asked());
      span.setAttribute(OUTPUT_MESSAGES, words.answered());
    }
    if (seen.outcome().equals("failed") || seen.outcome().equals("cut")) {
      span.setStatus(StatusCode.ERROR, seen.outcome());
    }
    span.end(end);
  }
}
