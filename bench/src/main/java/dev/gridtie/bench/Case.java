package dev.gridtie.bench;

import io.vertx.core.buffer.Buffer;
import java.util.Map;

/**
 * A kind of request.
 *
 * @param path with which it is asked for
 * @param end what a whole answer ends with
 * @param everywhere whether a plain proxy can serve it too; else only a gateway that translates
 */
record Case(
    String name,
    String path,
    Map<String, String> headers,
    Buffer body,
    String end,
    boolean everywhere) {

  private static final String WORDS = "What does a request cost here? ";

  private static String words(int bytes) {
    return WORDS.repeat(Math.max(1, bytes / WORDS.length()));
  }

  private static Buffer chat(int bytes, String more) {
    return Buffer.buffer(
        "{\"model\":\"mock\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\""
            + words(bytes)
            + "\"}]"
            + more
            + "}");
  }

  /** OpenAI's chat completions as a stream, straight through. */
  static Case stream(Map<String, String> key) {
    return new Case(
        "stream", "/v1/chat/completions", key, chat(930, ",\"stream\":true"), "[DONE]", true);
  }

  /** The same, forty times as slow: so that thousands are under way at once. */
  static Case slow(Map<String, String> key) {
    return new Case(
        "slow stream",
        "/v1/chat/completions",
        key,
        chat(930, ",\"stream\":true,\"user\":\"slow\""),
        "[DONE]",
        true);
  }

  /** Anthropic's messages as a stream, translated to and from OpenAI's. */
  static Case translated(Map<String, String> key) {
    return new Case(
        "stream, translated from Anthropic's",
        "/v1/messages",
        key,
        chat(930, ",\"stream\":true"),
        "message_stop",
        false);
  }

  /** A short document for a body of about this size. */
  static Case whole(Map<String, String> key, int bytes, String size) {
    return new Case("whole, " + size, "/v1/chat/completions", key, chat(bytes, ""), "}", true);
  }
}
