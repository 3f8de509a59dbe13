package dev.gridtie.base.http;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Receives requests' bodies within {@link Bounds}: of their number, in all and by address, of their
 * bytes, of their time and of their pace. Where room is needed the slowest makes it, so that bodies
 * which are sent and not finished keep out no others. Nothing is done for a request before its body
 * is whole. State: the bodies under way and the bytes of all, guarded by this object.
 */
public final class Bodies {
  private static final long LOOK_EVERY_MS = 500;

  /** So long a body is given before its pace is judged. */
  private static final long PACE_AFTER_NANOS = 3_000_000_000L;

  /** Added to a body's age when paces are compared: two that have just begun are alike. */
  private static final long AGE_MIN_NANOS = 50_000_000L;

  private final Bounds bounds;
  private final LongSupplier nanos;
  private final PerAddress perAddress;
  private final LinkedHashSet<Coming> coming = new LinkedHashSet<>();
  private long bytes;

  /** Why a body was not received. */
  public enum Refusal {
    /** It exceeds the bound of one body. */
    TOO_LARGE,
    /** It did not come whole in time, or came more slowly than allowed. */
    TOO_SLOW,
    /** Its address sends as many as it may. */
    TOO_MANY_OF_ADDRESS,
    /** There is no room for it now. */
    NO_ROOM
  }

  /** A whole body. Its bytes count until it is released. */
  public final class Body {
    private final byte[] content;
    private boolean released;

    private Body(byte[] content) {
      this.content = content;
    }

    public byte[] content() {
      return content;
    }

    /** What was asked is answered. */
    public void release() {
      synchronized (Bodies.this) {
        if (!released) {
          released = true;
          bytes -= content.length;
        }
      }
    }
  }

  /** Is told once what came of a body, on the connection's event loop or the one that looks. */
  public interface Receiver {
    void whole(Body body);

    /** The rest of the request is not wanted: the connection should end with the answer. */
    void refused(Refusal why);
  }

  /** A body that is coming in; its fields are guarded by the bodies'. */
  private static final class Coming {
    final String address;
    final long since;
    final Receiver receiver;
    final Buffer content = Buffer.buffer();

    Coming(String address, long since, Receiver receiver) {
      this.address = address;
      this.since = since;
      this.receiver = receiver;
    }

    double pace(long now) {
      return content.length() / (double) (now - since + AGE_MIN_NANOS);
    }
  }

  public Bodies(Bounds bounds, LongSupplier nanos) {
    this.bounds = bounds;
    this.nanos = nanos;
    this.perAddress = new PerAddress(bounds.bodiesPerAddress(), bounds.sharedAddresses());
  }

  /** Looks now and then whether one is too slow; ends with Vert.x. */
  public void watch(Vertx vertx) {
    long unused = vertx.setPeriodic(LOOK_EVERY_MS, id -> look());
  }

  /** Receives a request's body. */
  public void receive(HttpServerRequest request, Receiver receiver) {
    Coming mine = new Coming(PerAddress.of(request.remoteAddress()), nanos.getAsLong(), receiver);
    if (!perAddress.take(mine.address)) {
      receiver.refused(Refusal.TOO_MANY_OF_ADDRESS);
      return;
    }
    @Nullable Coming leaves;
    synchronized (this) {
      coming.add(mine);
      leaves = coming.size() > bounds.bodies() ? slowestBut(mine) : null;
    }
    refuse(leaves, Refusal.NO_ROOM);
    request.exceptionHandler(
        e -> {
          boolean unused = end(mine, true);
        });
    request.handler(part -> arrived(mine, part));
    request.endHandler(v -> ended(mine));
  }

  private void arrived(Coming mine, Buffer part) {
    Refusal why = null;
    List<Coming> leave = new ArrayList<>();
    synchronized (this) {
      if (!coming.contains(mine)) {
        return; // it was given up
      }
      if (mine.content.length() + part.length() > bounds.bodyBytes()) {
        why = Refusal.TOO_LARGE;
      } else {
        mine.content.appendBuffer(part);
        bytes += part.length();
        while (bytes > bounds.bodyBytesTotal() && why == null) {
          Coming slowest = slowestBut(mine);
          if (slowest == null || slowest.content.length() == 0) {
            why = Refusal.NO_ROOM;
          } else {
            boolean unused = end(slowest, true);
            leave.add(slowest);
          }
        }
      }
    }
    leave.forEach(s -> s.receiver.refused(Refusal.NO_ROOM));
    if (why != null) {
      refuse(mine, why);
    }
  }

  private void ended(Coming mine) {
    if (end(mine, false)) {
      mine.receiver.whole(new Body(mine.content.getBytes()));
    }
  }

  private @Nullable Coming slowestBut(Coming mine) {
    long now = nanos.getAsLong();
    Coming slowest = null;
    double least = Double.MAX_VALUE;
    for (Coming each : coming) {
      double pace = each.pace(now);
      if (each != mine && pace < least) {
        least = pace;
        slowest = each;
      }
    }
    return slowest;
  }

  /** Takes a body off the list, once; whether it was there. */
  private synchronized boolean end(Coming one, boolean forgotten) {
    if (!coming.remove(one)) {
      return false;
    }
    perAddress.give(one.address);
    if (forgotten) {
      bytes -= one.content.length();
    }
    return true;
  }

  private void refuse(@Nullable Coming one, Refusal why) {
    if (one != null && end(one, true)) {
      one.receiver.refused(why);
    }
  }

  /** Gives up what has come too slowly. */
  void look() {
    long now = nanos.getAsLong();
    List<Coming> late = new ArrayList<>();
    synchronized (this) {
      for (Coming each : coming) {
        long age = now - each.since;
        double least = bounds.bodyBytesPerSecond() * (age / 1e9);
        if (age >= bounds.bodyPatience().toNanos()
            || (age >= PACE_AFTER_NANOS && each.content.length() < least)) {
          late.add(each);
        }
      }
    }
    late.forEach(each -> refuse(each, Refusal.TOO_SLOW));
  }

  /** Bytes of all bodies that are coming in or being worked on. */
  public synchronized long bytes() {
    return bytes;
  }
}
