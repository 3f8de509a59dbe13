package dev.gridtie.gateway.answer;

import java.util.List;

/**
 * What is known of an answer when its source has taken the request.
 *
 * @param dropped fields that had no place there and do not change the answer
 * @param node the machine of the grid that began it; empty where none did
 */
public record Beginning(List<String> dropped, String node) {
  /** Nothing is known of it. */
  public static final Beginning PLAIN = new Beginning(List.of(), "");

  public Beginning {
    dropped = List.copyOf(dropped);
  }
}
