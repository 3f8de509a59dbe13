package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Turns a conversation into tokens. Text is data: it must not become a control token ({@code
 * <|assistant|>}, say), whatever it contains and however the template puts it together, or whoever
 * writes it could speak in another's role.
 *
 * <p>The control tokens that a prompt may have are those that it has when every text in it is
 * opaque: one character that occurs nowhere else stands for each. Where the real prompt has the
 * same, it is what everyone's tokeniser makes of it. Where it has others, a text has brought them
 * in, and the texts are tokenised apart, as plain text. May be used by several threads.
 */
final class PromptEncoder {
  /** Private-use characters, one for each text of a conversation. */
  private static final int OPAQUE_FIRST = 0xE000;

  private static final int OPAQUE_END = 0xF900;

  /** Roles name control tokens in many templates, so only these are roles. */
  private static final Set<String> ROLES =
      Set.of("system", "developer", "user", "assistant", "tool");

  private final ChatTemplate template;
  private final Tokenizer tokenizer;

  /** Splits text into tokens. May be used by several threads. */
  interface Tokenizer {
    /**
     * The tokens of a text.
     *
     * @param special whether the names of control tokens in it mean these tokens
     */
    int[] tokenize(String text, boolean special);

    boolean isControl(int token);
  }

  /** A part of a prompt: the template's own text, or one of a turn. */
  private record Piece(String text, boolean ofTemplate) {}

  PromptEncoder(ChatTemplate template, Tokenizer tokenizer) {
    this.template = template;
    this.tokenizer = tokenizer;
  }

  /**
   * The prompt's tokens.
   *
   * @throws TemplateException where the template refuses the conversation
   */
  int[] encode(List<Turn> turns) throws TemplateException {
    for (Turn turn : turns) {
      if (!ROLES.contains(turn.role())) {
        throw new TemplateException("a message's role is not one of system, user and assistant");
      }
    }
    int[] plain = tokenizer.tokenize(template.render(turns), true);
    List<Piece> pieces = pieces(turns);
    int[] allowed =
        pieces.stream()
            .filter(Piece::ofTemplate)
            .flatMapToInt(p -> Arrays.stream(tokenizer.tokenize(p.text(), true)))
            .filter(tokenizer::isControl)
            .toArray();
    int[] found = Arrays.stream(plain).filter(tokenizer::isControl).toArray();
    return Arrays.equals(found, allowed)
        ? plain
        : pieces.stream()
            .flatMapToInt(p -> Arrays.stream(tokenizer.tokenize(p.text(), p.ofTemplate())))
            .toArray();
  }

  /** The prompt in parts, each known to be the template's or a turn's. */
  private List<Piece> pieces(List<Turn> turns) throws TemplateException {
    char[] marks = marks(turns);
    List<Turn> opaque = new ArrayList<>();
    List<String> texts = new ArrayList<>();
    for (Turn turn : turns) {
      String text = TemplateValues.strip(turn.content());
      String mark = text.isEmpty() ? "" : String.valueOf(marks[texts.size()]);
      // What is around it stays outside, for templates that trim.
      opaque.add(new Turn(turn.role(), around(turn.content(), text, mark)));
      texts.add(text);
    }
    String rendered = template.render(opaque);
    List<Piece> pieces = new ArrayList<>();
    int from = 0;
    for (int at = 0; at < rendered.length(); at++) {
      int which = Arrays.binarySearch(marks, rendered.charAt(at));
      if (which >= 0) {
        pieces.add(new Piece(rendered.substring(from, at), true));
        pieces.add(new Piece(texts.get(which), false));
        from = at + 1;
      }
    }
    pieces.add(new Piece(rendered.substring(from), true));
    return pieces.stream().filter(p -> !p.text().isEmpty()).toList();
  }

  private static String around(String content, String text, String mark) {
    int at = text.isEmpty() ? 0 : content.indexOf(text);
    return content.substring(0, at) + mark + content.substring(at + text.length());
  }

  /** A character for each turn, in ascending order, that is in none of them. */
  private static char[] marks(List<Turn> turns) throws TemplateException {
    boolean[] taken = new boolean[OPAQUE_END];
    for (Turn turn : turns) {
      turn.content()
          .chars()
          .filter(c -> c >= OPAQUE_FIRST && c < OPAQUE_END)
          .forEach(c -> taken[c] = true);
    }
    int[] free =
        IntStream.range(OPAQUE_FIRST, OPAQUE_END)
            .filter(c -> !taken[c])
            .limit(turns.size())
            .toArray();
    if (free.length < turns.size()) {
      throw new TemplateException(
          "there are too many messages with too many private-use characters in them");
    }
    char[] marks = new char[free.length];
    for (int i = 0; i < free.length; i++) {
      marks[i] = (char) free[i];
    }
    return marks;
  }
}
