package dev.gridtie.base.http;

import io.netty.channel.Channel;
import io.netty.channel.ChannelOutboundBuffer;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.net.SocketAddress;
import io.vertx.core.net.impl.ConnectionBase;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The connections of an HTTP server, within {@link Bounds}. A connection that waits for a request
 * is closed when it has waited too long, or when room is needed for a new one, the longest waiting
 * first; one whose request is being answered stays, however long that takes, as long as its client
 * takes what was written. State: a seat for each connection, guarded by this object.
 */
public final class Connections {
  /** How long a client may take no byte of what was written to it. */
  public static final Duration STALL_MAX = Duration.ofSeconds(30);

  private static final long LOOK_EVERY_MS = 1000;

  private final Bounds bounds;
  private final LongSupplier nanos;
  private final PerAddress perAddress;

  /** By the client's address and port. */
  private final Map<SocketAddress, Seat> seats = new HashMap<>();

  /** Have sent no whole head yet, the oldest first. */
  private final LinkedHashSet<Seat> fresh = new LinkedHashSet<>();

  /** Wait for their next request, the longest waiting first. */
  private final LinkedHashSet<Seat> idle = new LinkedHashSet<>();

  /** A connection and what it is doing; its fields are guarded by the connections'. */
  private static final class Seat {
    final HttpConnection connection;
    final String address;
    long since;
    int answering;
    long unwritten;
    long stalledSince;

    Seat(HttpConnection connection, String address, long since) {
      this.connection = connection;
      this.address = address;
      this.since = since;
    }
  }

  /** Where a request's answer stands. */
  public interface Exchange {
    /** Its last byte was given to the operating system, or nobody is there to take it. */
    void over();
  }

  public Connections(Bounds bounds, LongSupplier nanos) {
    this.bounds = bounds;
    this.nanos = nanos;
    this.perAddress = new PerAddress(bounds.connectionsPerAddress(), bounds.sharedAddresses());
  }

  /** Looks now and then whether one has waited too long; ends with Vert.x. */
  public void watch(Vertx vertx) {
    long unused = vertx.setPeriodic(LOOK_EVERY_MS, id -> look());
  }

  /** A connection has come: the server's connection handler. */
  public void opened(HttpConnection connection) {
    Seat seat = new Seat(connection, PerAddress.of(connection.remoteAddress()), nanos.getAsLong());
    @Nullable Seat leaves = null;
    boolean taken;
    synchronized (this) {
      taken = perAddress.take(seat.address);
      if (taken && seats.size() >= bounds.connections()) {
        leaves = longestWaiting();
        taken = leaves != null;
        if (!taken) {
          perAddress.give(seat.address);
        }
      }
      if (leaves != null) {
        forget(leaves);
      }
      if (taken) {
        seats.put(connection.remoteAddress(), seat);
        fresh.add(seat);
      }
    }
    if (leaves != null) {
      close(leaves.connection);
    }
    if (taken) {
      connection.closeHandler(v -> closed(seat));
    } else {
      close(connection);
    }
  }

  private @Nullable Seat longestWaiting() {
    if (!fresh.isEmpty()) {
      return fresh.getFirst();
    }
    return idle.isEmpty() ? null : idle.getFirst();
  }

  /** A WebSocket was taken in: it is counted elsewhere from now on. */
  public synchronized void upgraded(SocketAddress remote) {
    Seat seat = seats.get(remote);
    if (seat != null) {
      forget(seat);
    }
  }

  private synchronized void closed(Seat seat) {
    forget(seat);
  }

  private void forget(Seat seat) {
    if (seats.remove(seat.connection.remoteAddress(), seat)) {
      perAddress.give(seat.address);
    }
    fresh.remove(seat);
    idle.remove(seat);
  }

  /** A request's head has come whole. */
  public Exchange begin(HttpServerRequest request) {
    synchronized (this) {
      Seat seat = seats.get(request.connection().remoteAddress());
      if (seat == null) {
        return () -> {};
      }
      seat.answering++;
      seat.stalledSince = nanos.getAsLong();
      fresh.remove(seat);
      idle.remove(seat);
      return new Exchange() {
        private boolean over;

        @Override
        public void over() {
          synchronized (Connections.this) {
            if (!over) {
              over = true;
              ended(seat);
            }
          }
        }
      };
    }
  }

  private void ended(Seat seat) {
    seat.answering--;
    if (seat.answering == 0 && seats.get(seat.connection.remoteAddress()) == seat) {
      seat.since = nanos.getAsLong();
      idle.add(seat);
    }
  }

  /** Closes what has waited too long. */
  void look() {
    long now = nanos.getAsLong();
    List<Seat> late = new ArrayList<>();
    synchronized (this) {
      take(fresh, now - bounds.headPatience().toNanos(), late);
      take(idle, now - bounds.idle().toNanos(), late);
      for (Seat seat : seats.values()) {
        if (seat.answering > 0 && isStalled(seat, now)) {
          late.add(seat);
        }
      }
      late.forEach(this::forget);
    }
    late.forEach(s -> close(s.connection));
  }

  private static void take(LinkedHashSet<Seat> waiting, long before, List<Seat> into) {
    for (Iterator<Seat> i = waiting.iterator(); i.hasNext(); ) {
      Seat seat = i.next();
      if (seat.since - before > 0) {
        return;
      }
      into.add(seat);
    }
  }

  private static boolean isStalled(Seat seat, long now) {
    long unwritten = unwritten(seat.connection);
    if (unwritten == 0 || unwritten != seat.unwritten) {
      seat.unwritten = unwritten;
      seat.stalledSince = now;
    }
    return now - seat.stalledSince > STALL_MAX.toNanos();
  }

  /** Bytes that were written and that the operating system has not taken yet. */
  private static long unwritten(HttpConnection connection) {
    if (!(connection instanceof ConnectionBase base)) {
      return 0;
    }
    Channel channel = base.channel();
    ChannelOutboundBuffer buffer = channel.unsafe().outboundBuffer();
    return buffer == null ? 0 : buffer.totalPendingWriteBytes();
  }

  private static void close(HttpConnection connection) {
    var unused = connection.close();
  }

  synchronized int count() {
    return seats.size();
  }
}
