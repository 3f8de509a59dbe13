package dev.gridtie.wire.chat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** Conversations drawn at random, of what all four dialects can say. */
final class Conversations {
  static final Map<Dialect, Translator> TRANSLATORS =
      Map.of(
          Dialect.OPENAI, new OpenAiTranslator(true),
          Dialect.RESPONSES, new ResponsesTranslator(),
          Dialect.ANTHROPIC, new AnthropicTranslator(),
          Dialect.GEMINI, new GeminiTranslator(false));

  private Conversations() {}

  static String words(Seeded s) {
    String text = s.text(12);
    return text.isBlank() ? "word " + s.below(100) : text;
  }

  static JsonNode schema(Seeded s) {
    var schema = Json.object().put("type", "object");
    var properties = schema.putObject("properties");
    for (int i = s.below(3); i >= 0; i--) {
      properties
          .putObject("p" + i)
          .put("type", s.of(List.of("string", "number", "boolean")))
          .put("description", words(s));
    }
    schema.putArray("required").add("p0");
    return schema;
  }

  static String arguments(Seeded s) {
    var json = Json.object();
    for (int i = s.below(3); i > 0; i--) {
      json.put("p" + i, words(s));
    }
    return Json.write(json);
  }

  static ChatRequest request(Seeded s, Dialect source) {
    List<Message> messages = new ArrayList<>();
    if (s.chance(0.5)) {
      messages.add(Message.text(Message.Role.SYSTEM, words(s)));
    }
    int calls = 0;
    for (int turn = s.below(4); turn >= 0; turn--) {
      messages.add(new Message(Message.Role.USER, said(s)));
      List<Part> answer = new ArrayList<>();
      if (s.chance(0.7)) {
        answer.add(new Part.Text(words(s)));
      }
      List<Part> results = new ArrayList<>();
      for (int i = s.below(3); i > 0; i--) {
        String id = "call_" + calls++;
        answer.add(new Part.ToolCall(id, "tool_" + s.below(2), arguments(s), null));
        results.add(
            new Part.ToolResult(
                id, "", List.of(new Part.Text(s.chance(0.3) ? arguments(s) : words(s))), false));
      }
      if (answer.isEmpty()) {
        answer.add(new Part.Text("yes"));
      }
      messages.add(new Message(Message.Role.ASSISTANT, answer));
      if (!results.isEmpty()) {
        messages.add(new Message(Message.Role.USER, results));
        messages.add(Message.text(Message.Role.ASSISTANT, words(s)));
      }
    }
    messages.add(new Message(Message.Role.USER, said(s)));
    List<ToolSpec> tools = new ArrayList<>();
    for (int i = s.below(3); i > 0 || (calls > 0 && tools.size() < 2); i--) {
      tools.add(new ToolSpec("tool_" + tools.size(), words(s), schema(s), null, null));
    }
    ToolChoice choice =
        tools.isEmpty()
            ? new ToolChoice.Auto()
            : s.of(
                List.of(
                    new ToolChoice.Auto(),
                    new ToolChoice.None(),
                    new ToolChoice.Required(),
                    new ToolChoice.Named(List.of("tool_0"))));
    Sampling sampling =
        new Sampling(
            16 + s.below(1000),
            s.chance(0.5) ? s.below(100) / 100.0 : null,
            s.chance(0.5) ? (1 + s.below(99)) / 100.0 : null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            1,
            List.of(),
            null,
            null);
    OutputFormat format =
        s.chance(0.2)
            ? new OutputFormat.JsonSchema("answer", null, schema(s), null)
            : new OutputFormat.Plain();
    Thinking thinking =
        s.chance(0.3)
            ? new Thinking(s.of(List.of("low", "medium", "high")), null, true)
            : Thinking.UNSAID;
    return new ChatRequest(
        "some/model",
        messages,
        sampling,
        tools,
        choice,
        null,
        format,
        thinking,
        null,
        null,
        s.chance(0.5),
        true,
        source,
        Map.of());
  }

  private static List<Part> said(Seeded s) {
    List<Part> parts = new ArrayList<>();
    parts.add(new Part.Text(words(s)));
    if (s.chance(0.3)) {
      parts.add(new Part.Media(Part.MediaKind.IMAGE, "image/png", "aGVsbG8=", null, null, null));
    }
    if (s.chance(0.2)) {
      parts.add(new Part.Text(words(s)));
    }
    return parts;
  }

  /** An answer of texts, thoughts and calls, with the state of one vendor. */
  static ChatAnswer answer(Seeded s, Seal.Origin vendor) {
    List<Part> parts = new ArrayList<>();
    if (vendor != Seal.Origin.GEMINI && s.chance(0.6)) {
      String id = vendor == Seal.Origin.OPENAI ? "rs_" + s.below(100) : null;
      parts.add(new Part.Reasoning(words(s), new Seal(vendor, "state" + s.number(), id)));
    }
    if (vendor == Seal.Origin.ANTHROPIC && s.chance(0.3)) {
      parts.add(
          new Part.Reasoning("", Seal.of(Seal.Origin.ANTHROPIC_REDACTED, "hidden" + s.number())));
    }
    if (s.chance(0.7)) {
      parts.add(new Part.Text(words(s)));
    }
    int calls = s.below(4);
    for (int i = 0; i < calls; i++) {
      Seal seal =
          vendor == Seal.Origin.GEMINI && i == 0 ? Seal.of(vendor, "c2lnbmF0dXJl" + i) : null;
      parts.add(new Part.ToolCall("call_" + s.below(1000) + "_" + i, "tool", arguments(s), seal));
    }
    if (parts.stream().allMatch(Part.Reasoning.class::isInstance)) {
      parts.add(new Part.Text("."));
    }
    long input = s.below(1000);
    long cached = s.below((int) input + 1);
    long output = s.below(1000);
    return new ChatAnswer(
        "id",
        "model",
        7,
        parts,
        calls > 0 ? FinishReason.TOOL_CALLS : s.of(List.of(FinishReason.STOP, FinishReason.LENGTH)),
        null,
        new Usage(input, cached, 0, output, 0));
  }
}
