package dev.gridtie.grid.engine;

import java.util.List;

/**
 * Turns a conversation into the text that a model expects. What the turns say is data: it comes out
 * as it went in, and is never read as part of the template. May be used by several threads.
 */
interface ChatTemplate {
  /**
   * The prompt for the next answer.
   *
   * @throws TemplateException where the template refuses the conversation, or does more than a
   *     template may
   */
  String render(List<Turn> turns) throws TemplateException;

  /** The template cannot render this conversation, and says why. */
  final class TemplateException extends Exception {
    private static final long serialVersionUID = 1L;

    TemplateException(String message) {
      super(message);
    }
  }
}
