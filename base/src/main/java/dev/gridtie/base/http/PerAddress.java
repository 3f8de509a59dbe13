package dev.gridtie.base.http;

import io.vertx.core.net.SocketAddress;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How many of something each address has. Holds an entry only for addresses that have any, so it is
 * as small as what it counts. State: the counts, guarded by this object.
 */
public final class PerAddress {
  private static final int IPV6_NETWORK_BYTES = 8;

  private final int most;
  private final Set<String> shared;
  private final Map<String, Integer> counts = new HashMap<>();

  /**
   * @param shared addresses that may have any number
   */
  public PerAddress(int most, Set<String> shared) {
    this.most = most;
    this.shared = Set.copyOf(shared);
  }

  /** What an address counts as: itself, or of IPv6 its /64; empty where it is not known. */
  public static String of(@Nullable SocketAddress address) {
    String host = address == null ? null : address.hostAddress();
    if (host == null) {
      return "";
    }
    InetAddress ip = InetAddress.ofLiteral(host);
    if (ip instanceof Inet6Address && !ip.isLoopbackAddress()) {
      return HexFormat.of().formatHex(Arrays.copyOf(ip.getAddress(), IPV6_NETWORK_BYTES));
    }
    return ip.isLoopbackAddress() && ip instanceof Inet6Address ? "::1" : ip.getHostAddress();
  }

  /** Counts one more, unless the address has as many as it may. */
  public synchronized boolean take(String address) {
    int now = counts.getOrDefault(address, 0);
    if (now >= most && !shared.contains(address)) {
      return false;
    }
    counts.put(address, now + 1);
    return true;
  }

  /** Counts one less. */
  public synchronized void give(String address) {
    counts.computeIfPresent(address, (a, n) -> n == 1 ? null : n - 1);
  }

  synchronized int addresses() {
    return counts.size();
  }
}
