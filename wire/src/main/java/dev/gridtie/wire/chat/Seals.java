package dev.gridtie.wire.chat;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Moves sealed state between the places where dialects keep it. Gemini signs calls and texts
 * themselves; dialects that have no field there carry such a seal as a thought of its own, named
 * after the call.
 */
public final class Seals {
  /** Names the seal of a text, where others are named after their call. */
  private static final String TEXT = "text";

  private Seals() {}

  /** Takes the seals off calls and texts and puts each, named, into a thought before it. */
  public static List<Part> detach(List<Part> parts) {
    List<Part> out = new ArrayList<>();
    for (Part part : parts) {
      if (part instanceof Part.ToolCall call && call.seal() != null) {
        out.add(carrier(call.seal(), call.id()));
        out.add(new Part.ToolCall(call.id(), call.name(), call.arguments(), null));
      } else if (part instanceof Part.Text text && text.seal() != null) {
        out.add(carrier(text.seal(), TEXT));
        out.add(new Part.Text(text.text(), null, text.cacheControl()));
      } else {
        out.add(part);
      }
    }
    return out;
  }

  /** A thought that carries a call's seal. */
  public static Part.Reasoning carrier(Seal seal, String callId) {
    return new Part.Reasoning("", new Seal(seal.origin(), seal.data(), callId));
  }

  /**
   * Puts a thought together that came in pieces: words without a seal, and a seal after them, as a
   * stream leaves them with clients that keep its pieces as they are.
   */
  public static List<Part> join(List<Part> parts) {
    List<Part> out = new ArrayList<>();
    for (Part part : parts) {
      boolean joins =
          part instanceof Part.Reasoning
              && !out.isEmpty()
              && out.getLast() instanceof Part.Reasoning before
              && before.seal() == null;
      if (joins
          && part instanceof Part.Reasoning next
          && out.removeLast() instanceof Part.Reasoning b) {
        out.add(new Part.Reasoning(b.text() + next.text(), next.seal()));
      } else {
        out.add(part);
      }
    }
    return out;
  }

  /** Undoes {@link #detach}. */
  public static List<Part> attach(List<Part> parts) {
    Map<String, Seal> named = new HashMap<>();
    List<Part> out = new ArrayList<>();
    for (Part part : parts) {
      Seal seal = part instanceof Part.Reasoning thought ? thought.seal() : null;
      String id = seal == null ? null : seal.id();
      if (seal != null && seal.origin() == Seal.Origin.GEMINI && id != null) {
        named.put(id, Seal.of(seal.origin(), seal.data()));
      } else {
        out.add(part);
      }
    }
    if (named.isEmpty()) {
      return out;
    }
    out.replaceAll(part -> withSeal(part, named));
    return out;
  }

  private static Part withSeal(Part part, Map<String, Seal> named) {
    return switch (part) {
      case Part.ToolCall c when c.seal() == null && named.containsKey(c.id()) ->
          new Part.ToolCall(c.id(), c.name(), c.arguments(), named.get(c.id()));
      case Part.Text t when t.seal() == null && named.containsKey(TEXT) ->
          new Part.Text(t.text(), named.remove(TEXT), t.cacheControl());
      default -> part;
    };
  }

  /**
   * Gives back what a client has lost: for each assistant's turn whose calls are known, the
   * thoughts and seals that stood before and on them.
   *
   * @param memory what was said before a call, by the call's id; null where it is not known
   */
  public static ChatRequest restore(
      ChatRequest request, Function<String, @Nullable List<Part>> memory) {
    List<Message> messages = new ArrayList<>();
    boolean changed = false;
    for (Message message : request.messages()) {
      List<Part> restored =
          message.role() == Message.Role.ASSISTANT ? restore(message.parts(), memory) : null;
      changed |= restored != null;
      messages.add(
          restored == null ? message : new Message(message.role(), restored, message.name()));
    }
    return changed ? request.withMessages(messages) : request;
  }

  private static @Nullable List<Part> restore(
      List<Part> parts, Function<String, @Nullable List<Part>> memory) {
    boolean sealed = parts.stream().anyMatch(Seals::isSealed);
    if (sealed) {
      return null; // the client kept it
    }
    for (Part part : parts) {
      List<Part> before = part instanceof Part.ToolCall call ? memory.apply(call.id()) : null;
      if (before != null) {
        return merge(parts, before);
      }
    }
    return null;
  }

  /** The client's own words and calls, with the remembered thoughts first and seals on calls. */
  private static List<Part> merge(List<Part> said, List<Part> remembered) {
    Map<String, Seal> calls = new HashMap<>();
    List<Part> out = new ArrayList<>();
    for (Part part : remembered) {
      if (part instanceof Part.Reasoning) {
        out.add(part);
      } else if (part instanceof Part.ToolCall call && call.seal() != null) {
        calls.put(call.id(), call.seal());
      }
    }
    for (Part part : said) {
      if (part instanceof Part.ToolCall call && calls.containsKey(call.id())) {
        out.add(new Part.ToolCall(call.id(), call.name(), call.arguments(), calls.get(call.id())));
      } else if (!(part instanceof Part.Reasoning)) {
        out.add(part);
      }
    }
    return out;
  }

  private static boolean isSealed(Part part) {
    return switch (part) {
      case Part.Reasoning p -> p.seal() != null;
      case Part.ToolCall p -> p.seal() != null;
      case Part.Text p -> p.seal() != null;
      default -> false;
    };
  }

  /** Whether an answer holds calls and sealed state that a client might lose. */
  public static boolean worthRemembering(List<Part> parts) {
    return parts.stream().anyMatch(Part.ToolCall.class::isInstance)
        && parts.stream().anyMatch(Seals::isSealed);
  }
}
