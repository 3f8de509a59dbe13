package dev.gridtie.gateway.edge;

import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seals;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Remembers the sealed reasoning that came with calls of tools, for clients that drop fields they
 * do not know: when they send the result, it is put back. An account is a key or a paying wallet;
 * of those who have neither nothing is remembered, for any two of them would be one. State: a
 * bounded map, guarded by its own monitor; whoever asks for another's call gets nothing, for calls
 * are kept by account.
 */
final class SealMemory {
  /** How much is remembered, in characters of sealed state. */
  private static final long CHARACTERS_MAX = 64L * 1024 * 1024;

  private final LinkedHashMap<String, List<Part>> byCall = new LinkedHashMap<>(16, 0.75f, true);
  private long characters;

  /** Remembers an answer's state under each of its calls. */
  synchronized void remember(String account, List<Part> parts) {
    if (account.isEmpty()) {
      return;
    }
    for (Part part : parts) {
      if (part instanceof Part.ToolCall call) {
        List<Part> before = byCall.put(account + "\n" + call.id(), parts);
        characters += size(parts) - (before == null ? 0 : size(before));
      }
    }
    var eldest = byCall.entrySet().iterator();
    while (characters > CHARACTERS_MAX && eldest.hasNext()) {
      Map.Entry<String, List<Part>> entry = eldest.next();
      characters -= size(entry.getValue());
      eldest.remove();
    }
  }

  private static long size(List<Part> parts) {
    long size = 64;
    for (Part part : parts) {
      size +=
          switch (part) {
            case Part.Reasoning p ->
                p.text().length() + (p.seal() == null ? 0 : p.seal().data().length());
            case Part.ToolCall p ->
                p.arguments().length() + (p.seal() == null ? 0 : p.seal().data().length());
            case Part.Text p -> p.text().length();
            default -> 0;
          };
    }
    return size;
  }

  private synchronized @Nullable List<Part> find(String account, String callId) {
    return byCall.get(account + "\n" + callId);
  }

  /** The request with what its client has lost; the same where nothing was. */
  ChatRequest restore(String account, ChatRequest request) {
    return Seals.restore(request, callId -> find(account, callId));
  }
}
