package dev.gridtie.wire.chat;

/** Watches a JSON object grow piece by piece, and knows when it is whole. */
public final class JsonProgress {
  private int depth;
  private boolean begun;
  private boolean inText;
  private boolean escaped;

  /** Takes the next piece. */
  public void push(String piece) {
    for (int i = 0; i < piece.length(); i++) {
      char c = piece.charAt(i);
      if (inText) {
        if (escaped) {
          escaped = false;
        } else if (c == '\\') {
          escaped = true;
        } else if (c == '"') {
          inText = false;
        }
      } else if (c == '"') {
        inText = true;
      } else if (c == '{' || c == '[') {
        depth++;
        begun = true;
      } else if (c == '}' || c == ']') {
        depth--;
      }
    }
  }

  /** Whether every bracket that was opened has been closed. */
  public boolean isWhole() {
    return begun && depth <= 0;
  }
}
