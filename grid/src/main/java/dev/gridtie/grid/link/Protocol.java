package dev.gridtie.grid.link;

/**
 * Names and bounds of the protocol: JSON messages, each on a line of its own, in text frames of a
 * WebSocket (RFC 6455).
 */
public final class Protocol {
  /** Both sides say it first; another one is refused. */
  public static final int VERSION = 1;

  /** Where a gateway takes nodes. */
  public static final String PATH = "/v1/grid/join";

  /** Where a gateway gives models' files: this and a SHA-256. */
  public static final String FILES = "/v1/grid/files/";

  /** The largest message from a node: a piece of text, or an embedding. */
  public static final int FROM_NODE_BYTES_MAX = 256 * 1024;

  /** A node puts several messages into a frame, a line each, up to about so many characters. */
  public static final int FRAME_CHARS_USUAL = 32 * 1024;

  /** For so long a node gathers them. */
  public static final int GATHER_MS = 4;

  /** The largest message from a gateway: a request's whole conversation, escaped. */
  public static final int FROM_GATEWAY_BYTES_MAX = 8 * 1024 * 1024;

  /** Messages a second from a node, all its answers together, for long. */
  public static final int MESSAGES_PER_SECOND_MAX = 5_000;

  /** And in one go. */
  public static final int MESSAGES_BURST_MAX = 10_000;

  /** How long a node may take to say who it is. */
  public static final int HELLO_MS_MAX = 10_000;

  /** How often a gateway asks whether a node is there. */
  public static final int PING_EVERY_MS = 1_000;

  /** A node that has said nothing for so long gets no new work. */
  public static final int QUIET_MS_MAX = 2_500;

  /** And after so long it is gone. */
  public static final int SILENT_MS_MAX = 20_000;

  private Protocol() {}
}
