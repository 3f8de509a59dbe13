package dev.gridtie.gateway.edge;

import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Under which hosts a listener may be asked. One on a loopback address is asked under a loopback
 * name, or under one that the operator names: a web page that has its own name resolve to this
 * machine (DNS rebinding) still sends its own name.
 *
 * @param anyTaken whether every host is taken: of a listener that others can reach anyhow
 * @param named further names, in small letters and without a port
 */
record Hosts(boolean anyTaken, Set<String> named) {
  /** RFC 9112 §3.2: a host and, where it is not the scheme's own, a port. */
  private static final Pattern AUTHORITY =
      Pattern.compile(
          "([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\\[[0-9A-Fa-f:.]{2,45}])(?::[0-9]{1,5})?");

  private static final Pattern IPV4 = Pattern.compile("[0-9]{1,3}(?:\\.[0-9]{1,3}){3}");

  Hosts {
    named = Set.copyOf(named);
  }

  /**
   * The hosts of a listener.
   *
   * @param bound the address that it listens on
   * @param publicUrl under which clients reach it, where there is one
   * @param more names that the operator allows
   * @throws UnknownHostException where the address has none
   */
  static Hosts of(String bound, Optional<URI> publicUrl, List<String> more)
      throws UnknownHostException {
    Set<String> named = new HashSet<>();
    publicUrl.map(URI::getHost).ifPresent(host -> named.add(plain(host)));
    more.forEach(host -> named.add(plain(host)));
    return new Hosts(!InetAddress.getByName(bound).isLoopbackAddress(), named);
  }

  /** The host of an authority ({@code HOST[:PORT]}), in small letters; empty where it is none. */
  static Optional<String> host(String authority) {
    Matcher matcher = AUTHORITY.matcher(authority);
    return matcher.matches() ? Optional.of(plain(matcher.group(1))) : Optional.empty();
  }

  private static String plain(String host) {
    String small = host.toLowerCase(Locale.ROOT);
    return small.endsWith(".") ? small.substring(0, small.length() - 1) : small;
  }

  /** Whether a request may name this host. */
  boolean takes(String host) {
    return anyTaken || knows(host);
  }

  /** Whether the host is this listener's own, and no stranger's that only leads here. */
  boolean knows(String host) {
    return named.contains(host) || host.equals("localhost") || isLoopback(host);
  }

  private static boolean isLoopback(String host) {
    boolean literal = host.startsWith("[") || IPV4.matcher(host).matches();
    try {
      return literal && InetAddress.ofLiteral(host.replaceAll("[\\[\\]]", "")).isLoopbackAddress();
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  /** Whether a web page is of this very listener, as the request's Host names it. */
  boolean isOwn(String origin, String authority) {
    boolean same =
        origin.equalsIgnoreCase("http://" + authority)
            || origin.equalsIgnoreCase("https://" + authority);
    return same && host(authority).filter(this::knows).isPresent();
  }
}
