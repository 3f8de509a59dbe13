package dev.gridtie.x402.facilitator;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import tools.jackson.databind.JsonNode;

/**
 * Asks a resource's own origin what it sells: its 402 for the very URL, which only whoever has the
 * origin can give. It goes to public addresses by HTTPS, follows no redirect, sends nothing that a
 * payer has written but the URL, and reads the head of the answer alone.
 *
 * @param privateAddresses whether addresses that are not public, and plain HTTP, are asked too: for
 *     tests, and where resources are inside a network
 */
public record OriginProof(boolean privateAddresses) {
  private static final int URL_MAX = 2048;

  /** The head of an answer, in bytes. */
  private static final int HEAD_BYTES_MAX = 32 * 1024;

  private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(3);

  /** For a whole answer. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  /** Resources are asked for by GET; what only answers to POST, with an empty object. */
  private static final List<String> REQUESTS =
      List.of(
          "GET %s HTTP/1.0\r\n%s\r\n",
          "POST %s HTTP/1.0\r\n%sContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");

  /** A URL that may be asked; empty where it is none. */
  Optional<URI> url(String text) {
    if (text.length() > URL_MAX) {
      return Optional.empty();
    }
    try {
      URI url = URI.create(text);
      boolean asks =
          url.getHost() != null
              && url.getRawUserInfo() == null
              && url.getRawFragment() == null
              && ("https".equals(url.getScheme())
                  || (privateAddresses && "http".equals(url.getScheme())));
      return asks ? Optional.of(url) : Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  /** The 402 that an origin gives for a URL of its own; empty where it gives none. */
  Optional<JsonNode> ask(URI url) {
    for (String request : REQUESTS) {
      try {
        Optional<JsonNode> said = required(head(url, request));
        if (said.isPresent()) {
          return said;
        }
      } catch (IOException | MalformedPaymentException e) {
        return Optional.empty();
      }
    }
    return Optional.empty();
  }

  private String head(URI url, String request) throws IOException {
    boolean tls = "https".equals(url.getScheme());
    int port = url.getPort() >= 0 ? url.getPort() : tls ? 443 : 80;
    String path = url.getRawPath() == null || url.getRawPath().isEmpty() ? "/" : url.getRawPath();
    String target = url.getRawQuery() == null ? path : path + "?" + url.getRawQuery();
    String authority = url.getPort() >= 0 ? url.getHost() + ":" + port : url.getHost();
    String fields = "Host: " + authority + "\r\nAccept: application/json\r\nConnection: close\r\n";
    // The address that was looked at is the one that is connected to: a name may have others later.
    InetAddress address = address(url.getHost());
    try (Socket plain = new Socket()) {
      plain.connect(new InetSocketAddress(address, port), (int) CONNECT_PATIENCE.toMillis());
      plain.setSoTimeout((int) CONNECT_PATIENCE.toMillis());
      Socket socket = tls ? secured(plain, url.getHost(), port) : plain;
      socket.getOutputStream().write(String.format(request, target, fields).getBytes(ISO_8859_1));
      socket.getOutputStream().flush();
      return head(socket.getInputStream());
    }
  }

  private static Socket secured(Socket plain, String host, int port) throws IOException {
    SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
    SSLSocket socket = (SSLSocket) factory.createSocket(plain, host, port, true);
    SSLParameters parameters = socket.getSSLParameters();
    parameters.setEndpointIdentificationAlgorithm("HTTPS");
    socket.setSSLParameters(parameters);
    socket.startHandshake();
    return socket;
  }

  private static String head(InputStream in) throws IOException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    ByteArrayOutputStream head = new ByteArrayOutputStream();
    byte[] buffer = new byte[4096];
    while (head.size() < HEAD_BYTES_MAX && System.nanoTime() < end) {
      int n = in.read(buffer);
      if (n < 0) {
        break;
      }
      head.write(buffer, 0, n);
      String text = head.toString(ISO_8859_1);
      int over = text.indexOf("\r\n\r\n");
      if (over >= 0) {
        return text.substring(0, over);
      }
    }
    throw new IOException("no head of an answer came in time");
  }

  private static Optional<JsonNode> required(String head) throws MalformedPaymentException {
    List<String> lines = head.lines().toList();
    if (lines.isEmpty() || !lines.getFirst().matches("HTTP/1\\.[01] 402( .*)?")) {
      return Optional.empty();
    }
    String name = Headers.PAYMENT_REQUIRED.toLowerCase(Locale.ROOT) + ":";
    for (String line : lines.subList(1, lines.size())) {
      if (line.toLowerCase(Locale.ROOT).startsWith(name)) {
        return Optional.of(Headers.decode(line.substring(name.length()).strip()));
      }
    }
    return Optional.empty();
  }

  private InetAddress address(String host) throws IOException {
    InetAddress[] all = InetAddress.getAllByName(host);
    for (InetAddress one : all) {
      if (!privateAddresses && !isPublic(one)) {
        throw new IOException(host + " has an address that is not public");
      }
    }
    return all[0];
  }

  /** Whether an address is one of the public Internet's (RFC 6890 and its successors' registry). */
  static boolean isPublic(InetAddress address) {
    if (address.isAnyLocalAddress()
        || address.isLoopbackAddress()
        || address.isLinkLocalAddress()
        || address.isSiteLocalAddress()
        || address.isMulticastAddress()) {
      return false;
    }
    byte[] b = address.getAddress();
    int first = b[0] & 0xff;
    int second = b[1] & 0xff;
    if (address instanceof Inet4Address) {
      boolean special =
          first == 0
              || first >= 240
              || (first == 100 && second >= 64 && second < 128)
              || (first == 192 && second == 0 && ((b[2] & 0xff) == 0 || (b[2] & 0xff) == 2))
              || (first == 198 && (second == 18 || second == 19))
              || (first == 198 && second == 51 && (b[2] & 0xff) == 100)
              || (first == 203 && second == 0 && (b[2] & 0xff) == 113);
      return !special;
    }
    // Of version 6 only 2000::/3 is given out, and of that neither 6to4, Teredo nor examples.
    boolean special =
        (first == 0x20 && second == 0x02)
            || (first == 0x20 && second == 0x01 && (b[2] & 0xfe) == 0)
            || (first == 0x20 && second == 0x01 && (b[2] & 0xff) == 0x0d && (b[3] & 0xff) == 0xb8);
    return address instanceof Inet6Address && (first & 0xe0) == 0x20 && !special;
  }
}
