package dev.gridtie.gateway.edge;

import dev.gridtie.base.http.Bounds;
import dev.gridtie.base.http.PerAddress;
import dev.gridtie.grid.fleet.Grid;
import dev.gridtie.grid.fleet.Link;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Codec.MalformedMessageException;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Protocol;
import io.vertx.core.Vertx;
import io.vertx.core.http.ServerWebSocket;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Where nodes come in: a WebSocket each, bounded in what it may send and how fast. What breaks the
 * rules is closed (RFC 6455 §7.4.1 says with which code).
 */
final class NodeDoor {
  /** How many may be connected that have not said who they are. */
  private static final int STRANGERS_MAX = 512;

  /** How many of them may be of one address. */
  private static final int STRANGERS_PER_ADDRESS_MAX = 32;

  private static final short POLICY = 1008;
  private static final short MALFORMED = 1007;
  private static final short TRY_LATER = 1013;
  private static final int REASON_MAX = 100;

  private final Vertx vertx;
  private final Grid grid;
  private final AtomicInteger connected = new AtomicInteger();
  private final AtomicInteger strangers = new AtomicInteger();
  private final PerAddress strangersOf;

  NodeDoor(Vertx vertx, Grid grid, Bounds bounds) {
    this.vertx = vertx;
    this.grid = grid;
    this.strangersOf = new PerAddress(STRANGERS_PER_ADDRESS_MAX, bounds.sharedAddresses());
  }

  /** One that has connected and has not been admitted; ends once, by being admitted or leaving. */
  private final class Stranger {
    private final String address;
    private final AtomicBoolean over = new AtomicBoolean();

    Stranger(String address) {
      this.address = address;
      strangers.incrementAndGet();
    }

    void over() {
      if (over.compareAndSet(false, true)) {
        strangers.decrementAndGet();
        strangersOf.give(address);
      }
    }
  }

  /** A node has connected. */
  void open(ServerWebSocket socket) {
    String address = PerAddress.of(socket.remoteAddress());
    if (connected.get() >= Grid.NODES_MAX + STRANGERS_MAX
        || strangers.get() >= STRANGERS_MAX
        || !strangersOf.take(address)) {
      var unused = socket.close(TRY_LATER, "too many are connected that have not been admitted");
      return;
    }
    connected.incrementAndGet();
    Stranger stranger = new Stranger(address);
    Grid.Session session = grid.connected(new Connection(socket));
    Allowance allowance = new Allowance();
    long timer =
        vertx.setTimer(
            Protocol.HELLO_MS_MAX + 500L,
            id -> {
              if (session.isLate()) {
                close(socket, POLICY, "a node says within 10 s who it is");
              }
            });
    socket.textMessageHandler(
        frame -> {
          try {
            int end;
            for (int from = 0; from <= frame.length(); from = end + 1) {
              int line = frame.indexOf('\n', from);
              end = line < 0 ? frame.length() : line;
              if (!allowance.take()) {
                close(socket, POLICY, "too many messages");
                return;
              }
              session.hear(Codec.fromNode(frame.substring(from, end)));
            }
            if (session.isAdmitted()) {
              stranger.over();
            }
          } catch (MalformedMessageException e) {
            close(socket, MALFORMED, String.valueOf(e.getMessage()));
          } catch (RuntimeException e) {
            System.err.println("gridtie: hearing a node: " + e);
            close(socket, POLICY, "this cannot be said now");
          }
        });
    socket.binaryMessageHandler(frame -> close(socket, MALFORMED, "messages are text"));
    socket.exceptionHandler(e -> close(socket, POLICY, "a frame is wrong"));
    socket.closeHandler(
        v -> {
          connected.decrementAndGet();
          stranger.over();
          boolean unused = vertx.cancelTimer(timer);
          session.closed();
        });
  }

  private static void close(ServerWebSocket socket, short code, String why) {
    String reason = why.length() <= REASON_MAX ? why : why.substring(0, REASON_MAX);
    var unused = socket.close(code, reason);
  }

  private record Connection(ServerWebSocket socket) implements Link {
    @Override
    public void send(FromGateway message) {
      if (!socket.isClosed()) {
        var unused = socket.writeTextMessage(Codec.write(message));
      }
    }

    @Override
    public void close(String why) {
      if (!socket.isClosed()) {
        NodeDoor.close(socket, POLICY, why);
      }
    }
  }

  /** How many messages a node may send: so many a second, and some at once. */
  private static final class Allowance {
    private double left = Protocol.MESSAGES_BURST_MAX;
    private long at = System.nanoTime();

    boolean take() {
      long now = System.nanoTime();
      left =
          Math.min(
              Protocol.MESSAGES_BURST_MAX,
              left + (now - at) / 1e9 * Protocol.MESSAGES_PER_SECOND_MAX);
      at = now;
      left -= 1;
      return left >= 0;
    }
  }
}
