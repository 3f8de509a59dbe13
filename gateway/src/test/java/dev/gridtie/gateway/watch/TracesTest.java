package dev.gridtie.gateway.watch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;

class TracesTest {
  private static final class Kept implements SpanExporter {
    final List<SpanData> spans = new CopyOnWriteArrayList<>();

    @Override
    public CompletableResultCode export(Collection<SpanData> more) {
      spans.addAll(more);
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode flush() {
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofSuccess();
    }
  }

  private static Seen seen(String outcome, Seen.Words words) {
    return new Seen(
        "gen-1",
        Instant.ofEpochSecond(1_700_000_000),
        "/v1/messages",
        "anthropic",
        "key-1",
        "openai/one",
        "openai",
        "openai",
        true,
        new Usage(11, 4, 0, 5, 2),
        PicoUsd.of(7),
        "stop",
        outcome,
        120,
        900,
        words);
  }

  @Test
  void aSpanSaysWhatTheConventionsNameAndNothingThatWasSaid() {
    Kept kept = new Kept();
    try (OpenTelemetrySdk sdk =
        OpenTelemetrySdk.builder()
            .setTracerProvider(
                SdkTracerProvider.builder()
                    .addSpanProcessor(SimpleSpanProcessor.create(kept))
                    .build())
            .build()) {
      Traces traces = new Traces(sdk);
      traces.over(seen("ok", null));
      traces.over(seen("ok", new Seen.Words("what?", "that.")));
      traces.over(seen("cut", null));
    }
    SpanData span = kept.spans.getFirst();
    assertThat(span.getName()).isEqualTo("chat openai/one");
    assertThat(span.getEndEpochNanos() - span.getStartEpochNanos()).isEqualTo(900_000_000L);
    assertThat(span.getAttributes().get(AttributeKey.longKey("gen_ai.usage.input_tokens")))
        .isEqualTo(11);
    assertThat(span.getAttributes().get(AttributeKey.stringKey("gen_ai.provider.name")))
        .isEqualTo("openai");
    assertThat(span.getAttributes().asMap().keySet())
        .noneMatch(k -> k.getKey().contains("prompt") || k.getKey().contains("message"));
    assertThat(span.getStatus().getStatusCode()).isEqualTo(StatusCode.UNSET);
    assertThat(
            kept.spans.get(1).getAttributes().get(AttributeKey.stringKey("gen_ai.output.messages")))
        .as("only where the operator has asked for it")
        .isEqualTo("that.");
    assertThat(kept.spans.getLast().getStatus().getStatusCode()).isEqualTo(StatusCode.ERROR);
  }
}
