package dev.gridtie.grid.fleet;

import dev.gridtie.grid.link.Message.FromGateway;

/** A connection to one node. Both methods may be called by any thread and do not block. */
public interface Link {
  /** Sends a message; lost where the connection is. */
  void send(FromGateway message);

  /** Ends the connection; why is for the node's owner to read. */
  void close(String why);
}
