package dev.gridtie.grid.fleet;

import dev.gridtie.grid.dispatch.Slot;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A node that has joined. State: {@code serving}, {@code slot} and {@code group} are written by the
 * {@link Grid} under its monitor; the rest by the connection's thread.
 */
final class Member {
  private final FromNode.Hello hello;
  private final String pool;
  private final boolean vouched;
  private final String fileToken;
  private final Link link;
  private final LongSupplier nanos;
  private final Map<Long, Answering.Leg> legs = new ConcurrentHashMap<>();
  private final Map<Long, CompletableFuture<FromNode>> expected = new ConcurrentHashMap<>();
  final AtomicLong answers = new AtomicLong();
  final AtomicLong tokens = new AtomicLong();
  final AtomicLong lost = new AtomicLong();
  final AtomicLong micro = new AtomicLong();
  private volatile FromNode.Serving serving = FromNode.Serving.NOTHING;
  private volatile FromNode.Status status = new FromNode.Status(false, "starting", 0, 0);
  private volatile @Nullable Slot slot;
  private volatile @Nullable Group group;
  private volatile long heardAt;
  private volatile long pingedAt;
  private volatile boolean gone;

  Member(
      FromNode.Hello hello,
      String pool,
      boolean vouched,
      String fileToken,
      Link link,
      LongSupplier nanos) {
    this.fileToken = fileToken;
    this.hello = hello;
    this.pool = pool;
    this.vouched = vouched;
    this.link = link;
    this.nanos = nanos;
    this.heardAt = nanos.getAsLong();
  }

  String address() {
    return hello.address();
  }

  FromNode.Hello hello() {
    return hello;
  }

  String pool() {
    return pool;
  }

  boolean vouched() {
    return vouched;
  }

  /** Opens the files that it may have, for as long as it is connected. */
  String fileToken() {
    return fileToken;
  }

  Link link() {
    return link;
  }

  void send(FromGateway message) {
    link.send(message);
  }

  FromNode.Serving serving() {
    return serving;
  }

  FromNode.Status status() {
    return status;
  }

  void status(FromNode.Status newStatus) {
    status = newStatus;
  }

  @Nullable Slot slot() {
    return slot;
  }

  @Nullable Group group() {
    return group;
  }

  void serves(FromNode.Serving newServing, @Nullable Slot newSlot, @Nullable Group newGroup) {
    serving = newServing;
    slot = newSlot;
    group = newGroup;
  }

  /** Where it stands, as far as it counts: an invited node's word, and no stranger's. */
  String region() {
    return pool.isEmpty() ? "" : hello.region();
  }

  /** It is asked whether it is there. */
  void ping(long at) {
    pingedAt = at;
    send(new FromGateway.Ping(at));
  }

  /** Whether this answers the last question, and is the first answer to it. */
  boolean wasPinged(long at) {
    boolean was = at == pingedAt && at != 0;
    pingedAt = 0;
    return was;
  }

  void heard() {
    heardAt = nanos.getAsLong();
  }

  long silentNanos() {
    return nanos.getAsLong() - heardAt;
  }

  boolean isGone() {
    return gone;
  }

  void gone() {
    gone = true;
  }

  boolean isWell() {
    return !gone
        && slot != null
        && status.accepting()
        && silentNanos() <= Protocol.QUIET_MS_MAX * 1_000_000L;
  }

  Map<Long, Answering.Leg> legs() {
    return legs;
  }

  void expect(long job, CompletableFuture<FromNode> answer) {
    expected.put(job, answer);
  }

  void forget(long job) {
    expected.remove(job);
  }

  /** Hands an answer to whoever waits for it; whether anybody does. */
  boolean answered(long job, FromNode answer) {
    CompletableFuture<FromNode> waits = expected.remove(job);
    return waits != null && waits.complete(answer);
  }

  void failExpected() {
    for (Long job : expected.keySet()) {
      CompletableFuture<FromNode> waits = expected.remove(job);
      if (waits != null) {
        waits.completeExceptionally(new IllegalStateException("the node is gone"));
      }
    }
  }
}
