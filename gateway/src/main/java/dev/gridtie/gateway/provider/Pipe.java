package dev.gridtie.gateway.provider;

import io.vertx.core.buffer.Buffer;

/** Makes a server's bytes the client's. Used by one thread at a time. */
interface Pipe {
  /** Takes the next bytes. */
  void push(Buffer bytes);

  /** The server has ended its answer in order. */
  void end();

  /** The connection broke. */
  void broken();

  /** Whether the sink has heard the end. */
  boolean isOver();
}
