package dev.gridtie.grid.link;

import java.util.Objects;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Messages as JSON text. Reading is strict: a key that is not known, or stands twice, a value that
 * cannot be, or anything behind the message is refused.
 */
public final class Codec {
  private static final int NESTING_MAX = 16;
  private static final int NUMBER_DIGITS_MAX = 32;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(NESTING_MAX)
                          .maxNumberLength(NUMBER_DIGITS_MAX)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .build();

  private Codec() {}

  /** A frame holds no message: says why, without repeating it. */
  public static final class MalformedMessageException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedMessageException(String message) {
      super(message);
    }
  }

  public static String write(Message message) {
    Class<?> side =
        message instanceof Message.FromNode ? Message.FromNode.class : Message.FromGateway.class;
    return MAPPER.writerFor(side).writeValueAsString(message);
  }

  /**
   * Reads what a node said.
   *
   * @throws MalformedMessageException where it is nothing that a node says
   */
  public static Message.FromNode fromNode(String frame) throws MalformedMessageException {
    return read(frame, Message.FromNode.class, Protocol.FROM_NODE_BYTES_MAX);
  }

  /**
   * Reads what a gateway said.
   *
   * @throws MalformedMessageException where it is nothing that a gateway says
   */
  public static Message.FromGateway fromGateway(String frame) throws MalformedMessageException {
    return read(frame, Message.FromGateway.class, Protocol.FROM_GATEWAY_BYTES_MAX);
  }

  private static <T> T read(String frame, Class<T> type, int max) throws MalformedMessageException {
    if (frame.length() > max) {
      throw new MalformedMessageException("a message of more than " + max + " bytes");
    }
    try {
      return Objects.requireNonNull(MAPPER.readValue(frame, type));
    } catch (JacksonException | NullPointerException e) {
      String why =
          e.getCause() instanceof IllegalArgumentException cause
              ? String.valueOf(cause.getMessage())
              : "not of the form that is agreed";
      throw new MalformedMessageException("a message is wrong: " + why);
    }
  }
}
