package dev.gridtie.wire.chat;

import java.util.ArrayList;
import java.util.List;

/** Two forms of one conversation made comparable: what a turn says, however it was cut. */
final class Normal {
  private Normal() {}

  /** Turns of one role in a row are one turn; texts in a row one text. */
  static List<Message> messages(ChatRequest request) {
    List<Message> out = new ArrayList<>();
    for (Message message : request.messages()) {
      if (!out.isEmpty() && out.getLast().role() == message.role()) {
        List<Part> parts = new ArrayList<>(out.removeLast().parts());
        parts.addAll(message.parts());
        out.add(new Message(message.role(), parts(parts)));
      } else {
        out.add(new Message(message.role(), parts(message.parts())));
      }
    }
    return out;
  }

  static List<Part> parts(List<Part> parts) {
    List<Part> out = new ArrayList<>();
    for (Part part : parts) {
      Part next =
          part instanceof Part.ToolResult r
              ? new Part.ToolResult(r.callId(), "", parts(r.content()), r.isError())
              : part;
      if (next instanceof Part.Text b
          && !out.isEmpty()
          && out.getLast() instanceof Part.Text a
          && a.seal() == null) {
        out.set(out.size() - 1, new Part.Text(a.text() + b.text(), b.seal(), null));
      } else {
        out.add(next);
      }
    }
    return out;
  }

  /** The sealed state of a turn, and what each seal is on. */
  static List<String> seals(List<Part> parts) {
    List<String> seals = new ArrayList<>();
    for (Part part : parts) {
      switch (part) {
        case Part.Reasoning p -> {
          if (p.seal() != null) {
            seals.add(p.text() + "|" + p.seal());
          }
        }
        case Part.ToolCall p -> {
          if (p.seal() != null) {
            seals.add(p.id() + "|" + p.seal());
          }
        }
        default -> {}
      }
    }
    return seals;
  }
}
