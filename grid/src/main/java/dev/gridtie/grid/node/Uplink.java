package dev.gridtie.grid.node;

import dev.gridtie.base.Hex;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Codec.MalformedMessageException;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import io.vertx.core.Vertx;
import io.vertx.core.http.WebSocket;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketClientOptions;
import io.vertx.core.http.WebSocketConnectOptions;
import java.net.URI;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The connection to one gateway: dialled from here, so that no port is opened, and dialled again
 * whenever it ends, after a pause that doubles. Its state is written on its event loop alone.
 */
final class Uplink implements AutoCloseable {
  private static final int CONNECT_MS_MAX = 10_000;
  private static final int PAUSE_MS_FIRST = 300;
  private static final int PAUSE_MS_MAX = 15_000;

  /** A gateway asks every second; one that is silent for so long is out of reach. */
  private static final int SILENCE_MS_MAX = 8_000;

  /** A connection that lasted so long was good, and the pauses begin anew. */
  private static final long GOOD_AFTER_NANOS = 20_000_000_000L;

  private final Vertx vertx;
  private final WebSocketClient client;
  private final URI gateway;
  private final Identity identity;
  private final Listener listener;
  private final RandomGenerator random;
  private volatile @Nullable WebSocket socket;
  private volatile FromGateway.@Nullable Welcome welcome;
  private volatile List<FromGateway.Offer.Wanted> offers = List.of();
  private volatile String why = "connecting";
  private volatile boolean closed;
  private volatile boolean refused;
  private volatile long heardAt;
  private final Queue<String> unsent = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean flushing = new AtomicBoolean();
  private int failures;
  private long connectedAt;

  /** Hears what a gateway wants; on the event loop: must not block. */
  interface Listener {
    /** Who this node is, but for the signature. */
    FromNode.Hello hello(String signature);

    void heard(Uplink from, FromGateway message);

    /** The connection has ended: its answers have no reader. */
    void ended(Uplink from);

    /** There is room again for what is sent. */
    void drained(Uplink from);
  }

  Uplink(Vertx vertx, URI gateway, Identity identity, Listener listener, RandomGenerator random) {
    this.vertx = vertx;
    this.gateway = gateway;
    this.identity = identity;
    this.listener = listener;
    this.random = random;
    this.client =
        vertx.createWebSocketClient(
            new WebSocketClientOptions()
                .setConnectTimeout(CONNECT_MS_MAX)
                .setTcpNoDelay(true)
                .setMaxFrameSize(Protocol.FROM_GATEWAY_BYTES_MAX)
                .setMaxMessageSize(Protocol.FROM_GATEWAY_BYTES_MAX));
  }

  URI gateway() {
    return gateway;
  }

  /** Where this gateway gives a model's file. */
  ModelFiles.Source source(String sha256) {
    FromGateway.Welcome joined = welcome;
    return new ModelFiles.Source(
        gateway.resolve(Protocol.FILES + sha256), joined == null ? "" : joined.files());
  }

  FromGateway.@Nullable Welcome welcome() {
    return welcome;
  }

  List<FromGateway.Offer.Wanted> offers() {
    return offers;
  }

  boolean isJoined() {
    return welcome != null;
  }

  /** Whether the gateway will not have this node: dialling again would change nothing. */
  boolean isRefused() {
    return refused;
  }

  /** Why it has not joined. */
  String why() {
    return why;
  }

  void connect() {
    if (closed) {
      return;
    }
    boolean secure = "https".equals(gateway.getScheme());
    int port = gateway.getPort() > 0 ? gateway.getPort() : secure ? 443 : 80;
    client
        .connect(
            new WebSocketConnectOptions()
                .setHost(gateway.getHost())
                .setPort(port)
                .setSsl(secure)
                .setAllowOriginHeader(false) // a gateway lets no web page in
                .setURI(Protocol.PATH))
        .onSuccess(this::connected)
        .onFailure(e -> again("out of reach: " + e.getMessage()));
  }

  private void connected(WebSocket connected) {
    socket = connected;
    connectedAt = System.nanoTime();
    heardAt = connectedAt;
    long watchdog =
        vertx.setPeriodic(
            1_000,
            id -> {
              if (System.nanoTime() - heardAt > SILENCE_MS_MAX * 1_000_000L) {
                var unused = connected.close((short) 1001, "silence");
                ended(connected, id, "the gateway was silent");
              }
            });
    connected.textMessageHandler(
        frame -> {
          heardAt = System.nanoTime();
          try {
            hear(connected, Codec.fromGateway(frame));
          } catch (MalformedMessageException e) {
            var unused = connected.close((short) 1007, "malformed");
          }
        });
    connected.drainHandler(v -> listener.drained(this));
    connected.exceptionHandler(e -> {}); // its close follows
    connected.closeHandler(
        v -> {
          String reason = connected.closeReason();
          ended(connected, watchdog, reason == null ? "the connection has ended" : reason);
        });
    if (closed) {
      var unused = connected.close();
    }
  }

  private void hear(WebSocket from, FromGateway message) {
    switch (message) {
      case FromGateway.Challenge challenge -> {
        FromNode.Hello hello = listener.hello("0x" + "00".repeat(65));
        byte[] digest =
            Identity.statement(
                challenge.gateway(), challenge.nonce(), identity.address(), hello.invitation());
        write(from, listener.hello(Hex.encode(identity.sign(digest))));
      }
      case FromGateway.Ping ping -> write(from, new FromNode.Pong(ping.nanos()));
      case FromGateway.Welcome joined -> {
        welcome = joined;
        why = "";
        refused = false;
      }
      case FromGateway.Refused no -> {
        why = no.message();
        refused = true;
      }
      case FromGateway.Offer offer -> {
        offers = offer.models();
        listener.heard(this, offer);
      }
      default -> listener.heard(this, message);
    }
  }

  private void ended(WebSocket which, long watchdog, String reason) {
    boolean unused = vertx.cancelTimer(watchdog);
    if (socket != which) {
      return;
    }
    socket = null;
    welcome = null;
    listener.ended(this);
    if (System.nanoTime() - connectedAt > GOOD_AFTER_NANOS) {
      failures = 0;
    }
    again(refused ? why : reason);
  }

  private void again(String reason) {
    why = reason;
    if (closed) {
      return;
    }
    long pause =
        refused
            ? PAUSE_MS_MAX
            : Math.min(PAUSE_MS_MAX, (long) PAUSE_MS_FIRST << Math.min(10, failures));
    failures++;
    long jittered = (long) (pause * (0.7 + 0.6 * random.nextDouble()));
    long unused = vertx.setTimer(Math.max(1, jittered), id -> connect());
  }

  /** Sends a message, perhaps with others that come soon after; lost without a connection. */
  void send(FromNode message) {
    if (socket != null && welcome != null) {
      unsent.add(Codec.write(message));
      if (flushing.compareAndSet(false, true)) {
        vertx.runOnContext(v -> flush());
      }
    }
  }

  /** Sends what has come: at once, but not more often than every few milliseconds. */
  private void flush() {
    WebSocket to = socket;
    StringBuilder frame = new StringBuilder();
    for (String each = unsent.poll(); each != null; each = unsent.poll()) {
      if (to == null) {
        continue; // nobody hears it any more
      }
      if (frame.length() > 0 && frame.length() + each.length() > Protocol.FRAME_CHARS_USUAL) {
        var unused = to.writeTextMessage(frame.toString());
        frame.setLength(0);
      }
      if (frame.length() > 0) {
        frame.append('\n');
      }
      frame.append(each);
    }
    if (to != null && frame.length() > 0) {
      var unused = to.writeTextMessage(frame.toString());
      long again = vertx.setTimer(Protocol.GATHER_MS, id -> flush());
    } else {
      flushing.set(false);
      if (!unsent.isEmpty() && flushing.compareAndSet(false, true)) {
        vertx.runOnContext(v -> flush());
      }
    }
  }

  /** Whether more is waiting to be sent than should. */
  boolean isFull() {
    WebSocket to = socket;
    return to != null && to.writeQueueFull();
  }

  private static void write(WebSocket to, FromNode message) {
    var unused = to.writeTextMessage(Codec.write(message));
  }

  @Override
  public void close() {
    closed = true;
    WebSocket open = socket;
    if (open != null) {
      var unused = open.close((short) 1000, "the node stops");
    }
    var unused = client.close();
  }
}
