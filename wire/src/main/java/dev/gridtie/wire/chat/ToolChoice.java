package dev.gridtie.wire.chat;

import java.util.List;

/** Whether the model may, must or must not call tools. */
public sealed interface ToolChoice {
  record Auto() implements ToolChoice {}

  record None() implements ToolChoice {}

  /** At least one call, of any tool. */
  record Required() implements ToolChoice {}

  /** One of these tools; exactly one in most dialects. */
  record Named(List<String> names) implements ToolChoice {
    public Named {
      names = List.copyOf(names);
    }
  }
}
