package dev.gridtie.grid.engine;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Turns a conversation into the text that a model expects, by the Jinja template in its file. */
final class ChatTemplate {
  /** The longest prompt that a template may make, in characters. */
  private static final long OUTPUT_MAX = 16L * 1024 * 1024;

  private final Jinjava jinja;
  private final String template;
  private final String bos;
  private final String eos;

  /** The template cannot render this conversation, and says why. */
  static final class TemplateException extends Exception {
    private static final long serialVersionUID = 1L;

    TemplateException(String message) {
      super(message);
    }
  }

  ChatTemplate(String template, String bos, String eos) {
    this.template = template;
    this.bos = bos;
    this.eos = eos;
    this.jinja =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withMaxOutputSize(OUTPUT_MAX)
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withFailOnUnknownTokens(false)
                .build());
    jinja
        .getGlobalContext()
        .registerFunction(
            new ELFunctionDefinition(
                "", "raise_exception", ChatTemplate.class, "raiseException", String.class));
  }

  /** What templates call to refuse a conversation. */
  public static String raiseException(String message) {
    throw new IllegalArgumentException(message);
  }

  /** The prompt for the next answer. */
  String render(List<Turn> turns) throws TemplateException {
    List<Map<String, Object>> messages = new ArrayList<>();
    for (Turn turn : turns) {
      messages.add(Map.of("role", turn.role(), "content", turn.content()));
    }
    Map<String, Object> bindings = new HashMap<>();
    bindings.put("messages", messages);
    bindings.put("add_generation_prompt", true);
    bindings.put("bos_token", bos);
    bindings.put("eos_token", eos);
    RenderResult result = jinja.renderForResult(template, bindings);
    for (TemplateError error : result.getErrors()) {
      if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
        throw new TemplateException(
            "the model's chat template refuses this conversation: " + error.getMessage());
      }
    }
    return result.getOutput();
  }
}
