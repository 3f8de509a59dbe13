package dev.gridtie.gateway.provider;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Expressible;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.ToolChoice;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What an engine of ours can do; whatever else would change the answer is refused by name. */
final class EngineAbilities {
  private EngineAbilities() {}

  static Outcome<ChatRequest> check(ChatRequest request) {
    String impossible = impossible(request);
    if (impossible != null) {
      return Outcome.refused(
          ApiError.invalid(
              "unsupported_parameter",
              "'"
                  + impossible
                  + "' cannot be honoured by this model and would change the answer; leave it out.",
              impossible));
    }
    int index = 0;
    for (Message message : request.messages()) {
      for (Part part : message.parts()) {
        if (!(part instanceof Part.Text) && !(part instanceof Part.Reasoning)) {
          String where = "messages[" + index + "]";
          return Outcome.refused(
              ApiError.invalid(
                  "unsupported_content",
                  "'" + where + "' holds more than text, and this model reads only text.",
                  where));
        }
      }
      index++;
    }
    return others(request);
  }

  private static @Nullable String impossible(ChatRequest request) {
    Sampling s = request.sampling();
    boolean toolsWanted =
        !request.tools().isEmpty() && !(request.toolChoice() instanceof ToolChoice.None);
    boolean choiceWanted =
        !(request.toolChoice() instanceof ToolChoice.Auto)
            && !(request.toolChoice() instanceof ToolChoice.None);
    Map<String, Boolean> wanted = new LinkedHashMap<>();
    wanted.put("tools", toolsWanted);
    wanted.put("tool_choice", choiceWanted);
    wanted.put("response_format", !(request.format() instanceof OutputFormat.Plain));
    wanted.put("reasoning", request.thinking().isAsked());
    wanted.put("logprobs", s.logprobs() != null);
    wanted.put("logit_bias", s.logitBias() != null);
    wanted.put("frequency_penalty", says(s.frequencyPenalty(), 0));
    wanted.put("presence_penalty", says(s.presencePenalty(), 0));
    wanted.put("repetition_penalty", says(s.repetitionPenalty(), 1));
    wanted.put("top_a", says(s.topA(), 0));
    wanted.put("n", s.choices() > 1);
    wanted.put("verbosity", request.verbosity() != null);
    for (var field : wanted.entrySet()) {
      if (field.getValue()) {
        return field.getKey();
      }
    }
    return null;
  }

  private static boolean says(@Nullable Double value, double nothing) {
    return value != null && value != nothing;
  }

  /** Fields of the client's dialect alone: no engine has a place for them. */
  private static Outcome<ChatRequest> others(ChatRequest request) {
    try {
      Dialect other = request.source() == Dialect.ANTHROPIC ? Dialect.OPENAI : Dialect.ANTHROPIC;
      new Expressible(other).others(request);
      return Outcome.ok(request);
    } catch (dev.gridtie.wire.Fields.RefusedException e) {
      return Outcome.refused(e.error());
    }
  }
}
