package dev.gridtie.wire.chat;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** One dialect's readers and writers: pure functions, and machines that hold one stream's state. */
public interface Translator {
  Dialect dialect();

  /**
   * Reads a client's request.
   *
   * @param call what the URL says, which matters to Gemini alone
   */
  Outcome<ChatRequest> readRequest(JsonNode body, Call call);

  /** What a URL says of a request. */
  record Call(String model, boolean stream) {
    /** The URL says nothing; the body does. */
    public static final Call NONE = new Call("", false);
  }

  /** Writes a request for a server; or refuses it, naming what this dialect cannot express. */
  Outcome<Written> writeRequest(ChatRequest request);

  /**
   * A request in another dialect.
   *
   * @param dropped fields that had no place there and do not change the answer
   */
  record Written(ObjectNode body, List<String> dropped) {
    public Written {
      dropped = List.copyOf(dropped);
    }
  }

  /** Reads a server's whole answer. */
  Outcome<ChatAnswer> readAnswer(JsonNode body);

  /** Writes a whole answer for a client; its id, model and time are the head's. */
  ObjectNode writeAnswer(ChatAnswer answer, Head head);

  /** Begins to read a server's stream. */
  StreamReader streamReader();

  /** Begins to write a stream for a client. */
  StreamWriter streamWriter(Head head);

  /**
   * What an answer says of itself.
   *
   * @param id of the answer, without a dialect's prefix
   * @param created Unix seconds
   * @param note adds to a usage what only the gateway knows, such as its cost
   */
  record Head(String id, String model, long created, ChatRequest request, UsageNote note) {
    public Head(String id, String model, long created, ChatRequest request) {
      this(id, model, created, request, (usage, json) -> {});
    }
  }

  /** Adds to a usage as it is written. */
  interface UsageNote {
    void add(Usage usage, ObjectNode json);
  }

  /** Writes an error in this dialect's envelope. */
  ObjectNode writeError(ApiError error);

  /** Reads what a server says of a failure. Never repeats more of its words than a person needs. */
  ApiError readError(int status, byte[] body);

  /** Reads one stream. */
  interface StreamReader {
    /**
     * Takes an event's data and gives what it means.
     *
     * @throws MalformedStreamException where it means nothing in this dialect
     */
    List<StreamEvent> read(String data) throws MalformedStreamException;

    /** The connection ended in order: what that means. Empty where the answer was whole before. */
    List<StreamEvent> end();
  }

  /** A stream that does not speak its dialect. */
  final class MalformedStreamException extends Exception {
    private static final long serialVersionUID = 1L;

    public MalformedStreamException(String message) {
      super(message);
    }
  }

  /** Writes one stream, event by event, as server-sent events. */
  interface StreamWriter {
    /** The text of an event, which may be empty. */
    String write(StreamEvent event);
  }
}
