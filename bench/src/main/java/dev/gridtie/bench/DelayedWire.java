package dev.gridtie.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A wire between two network interfaces of this machine (Linux, TUN), that delays packets, loses
 * some, and lets only so many bits through: what tc-netem does, where the kernel has no netem. One
 * interface is put into a network namespace, the other stays. Needs root.
 */
public final class DelayedWire implements AutoCloseable {
  private static final int OPEN_READ_WRITE = 2;
  private static final long TUNSETIFF = 0x400454caL;
  private static final short TUN_NO_HEADER = 0x1001;
  private static final int NAME_MAX = 15;
  private static final int REQUEST_BYTES = 40;
  private static final int PACKET_MAX = 65_536;
  private static final int QUEUE_MAX = 2_000;
  private static final int POLL_MS = 100;
  private static final short POLL_IN = 1;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle OPEN =
      find("open", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle IOCTL =
      LINKER.downcallHandle(
          LINKER.defaultLookup().findOrThrow("ioctl"),
          FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS),
          Linker.Option.firstVariadicArg(2));
  private static final MethodHandle READ =
      find("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
  private static final MethodHandle WRITE =
      find("write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
  private static final MethodHandle CLOSE =
      find("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle POLL =
      find("poll", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));

  private final Arena arena = Arena.ofShared();
  private final int[] ends = new int[2];
  private final List<Thread> threads = new ArrayList<>();
  private final Random random;
  private volatile Shape shape;
  private volatile boolean closed;

  /**
   * How a wire is, each way.
   *
   * @param loss part of packets that are lost
   * @param bitsPerSecond 0 for no limit
   * @param cut whether nothing comes through
   */
  public record Shape(
      Duration delay, Duration jitter, double loss, long bitsPerSecond, boolean cut) {
    private static final Pattern WORDS =
        Pattern.compile(
            "(?:delay (\\d+)ms(?: (\\d+)ms)?)? ?(?:loss ([\\d.]+)%)? ?(?:rate (\\d+)(k|m)bit)?");

    /**
     * Reads what tc-netem calls {@code delay 10ms 3ms loss 0.5% rate 50mbit}.
     *
     * @throws IllegalArgumentException where it is written otherwise
     */
    public static Shape of(String words) {
      Matcher m = WORDS.matcher(words.strip());
      if (!m.matches()) {
        throw new IllegalArgumentException(
            "a network is written like: delay 10ms 3ms loss 0.5% rate 50mbit, not " + words);
      }
      return new Shape(
          Duration.ofMillis(m.group(1) == null ? 0 : Long.parseLong(m.group(1))),
          Duration.ofMillis(m.group(2) == null ? 0 : Long.parseLong(m.group(2))),
          m.group(3) == null ? 0 : Double.parseDouble(m.group(3)) / 100,
          m.group(4) == null
              ? 0
              : Long.parseLong(m.group(4)) * (m.group(5).equals("k") ? 1_000 : 1_000_000),
          false);
    }

    public Shape cutOff() {
      return new Shape(delay, jitter, loss, bitsPerSecond, true);
    }
  }

  private record Packet(byte[] bytes, long due) {}

  /**
   * Makes two interfaces and the wire between them; they have no addresses yet.
   *
   * @throws IOException where this process may not
   */
  public DelayedWire(String one, String other, Shape shape, long seed) throws IOException {
    this.shape = shape;
    this.random = new Random(seed);
    ends[0] = tun(one);
    ends[1] = tun(other);
    for (int from = 0; from < 2; from++) {
      BlockingQueue<Packet> queue = new LinkedBlockingQueue<>(QUEUE_MAX);
      int in = ends[from];
      int out = ends[1 - from];
      threads.add(Thread.ofPlatform().daemon(true).name("wire-in").start(() -> take(in, queue)));
      threads.add(Thread.ofPlatform().daemon(true).name("wire-out").start(() -> give(out, queue)));
    }
  }

  private static MethodHandle find(String name, FunctionDescriptor type) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), type);
  }

  private int tun(String name) throws IOException {
    if (name.length() > NAME_MAX) {
      throw new IllegalArgumentException("an interface's name has at most 15 characters");
    }
    try {
      int fd = (int) OPEN.invokeExact(arena.allocateFrom("/dev/net/tun"), OPEN_READ_WRITE);
      MemorySegment request = arena.allocate(REQUEST_BYTES);
      MemorySegment.copy(name.getBytes(US_ASCII), 0, request, JAVA_BYTE, 0, name.length());
      request.set(JAVA_SHORT, 16, TUN_NO_HEADER);
      if (fd < 0 || (int) IOCTL.invokeExact(fd, TUNSETIFF, request) < 0) {
        throw new IOException("no interface " + name + " can be made: that needs root and TUN");
      }
      return fd;
    } catch (IOException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  public void shape(Shape newShape) {
    shape = newShape;
  }

  private void take(int fd, BlockingQueue<Packet> queue) {
    MemorySegment buffer = arena.allocate(PACKET_MAX);
    MemorySegment poll = arena.allocate(8, 4);
    long free = System.nanoTime();
    try {
      while (!closed) {
        poll.set(JAVA_INT, 0, fd);
        poll.set(JAVA_SHORT, 4, POLL_IN);
        poll.set(JAVA_SHORT, 6, (short) 0);
        if ((int) POLL.invokeExact(poll, 1L, POLL_MS) <= 0) {
          continue;
        }
        long read = (long) READ.invokeExact(fd, buffer, (long) PACKET_MAX);
        if (read <= 0) {
          return;
        }
        Shape now = shape;
        if (now.cut() || chance(now.loss())) {
          continue;
        }
        free = Math.max(free, System.nanoTime());
        if (now.bitsPerSecond() > 0) {
          free += read * 8_000_000_000L / now.bitsPerSecond();
        }
        long due = free + now.delay().toNanos() + jitter(now);
        boolean unused = queue.offer(new Packet(buffer.asSlice(0, read).toArray(JAVA_BYTE), due));
      }
    } catch (Throwable e) {
      if (!closed) {
        System.err.println("gridtie: a wire: " + e);
      }
    }
  }

  private synchronized boolean chance(double part) {
    return part > 0 && random.nextDouble() < part;
  }

  private synchronized long jitter(Shape now) {
    return (long) (now.jitter().toNanos() * (2 * random.nextDouble() - 1));
  }

  private void give(int fd, BlockingQueue<Packet> queue) {
    MemorySegment buffer = arena.allocate(PACKET_MAX);
    try {
      while (!closed) {
        Packet packet = queue.poll(POLL_MS, TimeUnit.MILLISECONDS);
        if (packet == null) {
          continue;
        }
        long wait = packet.due() - System.nanoTime();
        if (wait > 0) {
          TimeUnit.NANOSECONDS.sleep(wait);
        }
        MemorySegment.copy(packet.bytes(), 0, buffer, JAVA_BYTE, 0, packet.bytes().length);
        long unused = (long) WRITE.invokeExact(fd, buffer, (long) packet.bytes().length);
      }
    } catch (Throwable e) {
      if (!closed) {
        System.err.println("gridtie: a wire: " + e);
      }
    }
  }

  /** The interfaces go with it. */
  @Override
  public void close() {
    closed = true;
    try {
      for (Thread thread : threads) {
        thread.join();
      }
      for (int fd : ends) {
        int unused = (int) CLOSE.invokeExact(fd);
      }
      arena.close();
    } catch (Throwable e) {
      Thread.currentThread().interrupt();
    }
  }
}
