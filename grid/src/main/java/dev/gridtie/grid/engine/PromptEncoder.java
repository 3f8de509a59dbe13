package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.util.ArrayList;
import java.util.List;

/**
 * Turns a conversation into tokens. A message that contains the name of a control token ({@code
 * <|assistant|>}, say) must not become that token, or whoever writes it could speak in another's
 * role; such a message is put into the rendered prompt by a placeholder, and tokenised apart from
 * it as plain text.
 */
final class PromptEncoder {
  /** Private-use characters that mark a placeholder; they are removed from what callers send. */
  private static final char OPEN = '\uE000';

  private static final char CLOSE = '\uE001';

  private final ChatTemplate template;
  private final Tokenizer tokenizer;
  private final List<String> controlTexts;

  /** Splits text into tokens. */
  interface Tokenizer {
    int[] tokenize(String text, boolean special);
  }

  PromptEncoder(ChatTemplate template, Tokenizer tokenizer, List<String> controlTexts) {
    this.template = template;
    this.tokenizer = tokenizer;
    this.controlTexts = List.copyOf(controlTexts);
  }

  int[] encode(List<Turn> turns) throws TemplateException {
    List<Turn> safe = new ArrayList<>();
    List<String> apart = new ArrayList<>();
    for (Turn turn : turns) {
      String content = turn.content().replace("" + OPEN, "").replace("" + CLOSE, "");
      if (controlTexts.stream().anyMatch(content::contains)) {
        safe.add(new Turn(turn.role(), "" + OPEN + apart.size() + CLOSE));
        apart.add(content);
      } else {
        safe.add(new Turn(turn.role(), content));
      }
    }
    String rendered = template.render(safe);
    if (apart.isEmpty()) {
      return tokenizer.tokenize(rendered, true);
    }
    return encodeAround(rendered, apart);
  }

  private int[] encodeAround(String rendered, List<String> apart) {
    List<int[]> pieces = new ArrayList<>();
    int from = 0;
    for (int open = rendered.indexOf(OPEN); open >= 0; open = rendered.indexOf(OPEN, from)) {
      int close = rendered.indexOf(CLOSE, open);
      pieces.add(tokenizer.tokenize(rendered.substring(from, open), true));
      pieces.add(
          tokenizer.tokenize(
              apart.get(Integer.parseInt(rendered.substring(open + 1, close))), false));
      from = close + 1;
    }
    pieces.add(tokenizer.tokenize(rendered.substring(from), true));
    return pieces.stream().flatMapToInt(java.util.Arrays::stream).toArray();
  }
}
