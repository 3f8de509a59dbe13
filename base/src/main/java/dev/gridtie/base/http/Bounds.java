package dev.gridtie.base.http;

import java.time.Duration;
import java.util.Set;

/**
 * What clients of an HTTP server may take of it before anything is done for them.
 *
 * @param connections at once; WebSockets that were taken in have bounds of their own
 * @param connectionsPerAddress of them from one address; of IPv6 a /64 counts as one
 * @param sharedAddresses whose connections are many clients', such as a reverse proxy's: no bound
 *     per address applies to them
 * @param headPatience from the beginning of a connection to the end of its first request's head
 * @param idle from the end of one answer to the end of the next request's head
 * @param bodies that may be coming in at once; the slowest makes room for a new one
 * @param bodiesPerAddress of them from one address
 * @param bodyBytes of one body
 * @param bodyBytesTotal of all bodies that are coming in or being worked on
 * @param bodyPatience from a request's head to its last byte
 * @param bodyBytesPerSecond a body that has come more slowly is given up
 */
public record Bounds(
    int connections,
    int connectionsPerAddress,
    Set<String> sharedAddresses,
    Duration headPatience,
    Duration idle,
    int bodies,
    int bodiesPerAddress,
    int bodyBytes,
    long bodyBytesTotal,
    Duration bodyPatience,
    int bodyBytesPerSecond) {

  /** This machine's own addresses: where a reverse proxy before the server usually is. */
  public static final Set<String> LOOPBACK = Set.of("127.0.0.1", "::1");

  private static final long BODY_BYTES_TOTAL_MIN = 8L * 1024 * 1024;

  public Bounds {
    sharedAddresses = Set.copyOf(sharedAddresses);
  }

  /** What suits a server whose bodies are of at most this size. */
  public static Bounds of(int bodyBytes) {
    return new Bounds(
        2048,
        256,
        LOOPBACK,
        Duration.ofSeconds(10),
        Duration.ofSeconds(120),
        1024,
        64,
        bodyBytes,
        // A body that was read and understood takes several times its size.
        Math.max(BODY_BYTES_TOTAL_MIN, Runtime.getRuntime().maxMemory() / 16),
        Duration.ofSeconds(15),
        256);
  }
}
