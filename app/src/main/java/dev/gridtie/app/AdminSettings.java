package dev.gridtie.app;

import dev.gridtie.base.Numbers;
import dev.gridtie.base.Secret;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Where the operator's pages are served.
 *
 * @param port 0 for a free one
 * @param token that a request must bring; always there where others can reach the address
 */
record AdminSettings(String host, int port, Optional<Secret> token) {
  /**
   * A token of 128 bits has so many characters in hexadecimal, as openssl rand -hex 16 gives it.
   */
  static final int TOKEN_LENGTH_MIN = 32;

  private static final String LOOPBACK = "127.0.0.1";
  private static final int PORT_MAX = 65535;

  /**
   * Reads the configuration.
   *
   * @param admin HOST:PORT, PORT or off; beside the gateway's port where it is left out
   * @param gatewayPort the next one is taken; a free one where this is 0
   * @param namedIn the file that the token's path is relative to
   * @return empty where the pages are off
   * @throws IOException saying what is wrong, and never the token
   */
  static Optional<AdminSettings> of(
      @Nullable String admin,
      CatalogConfig.@Nullable Key token,
      int gatewayPort,
      Path namedIn,
      UnaryOperator<@Nullable String> environment)
      throws IOException {
    if ("off".equals(admin)) {
      return Optional.empty();
    }
    Optional<Secret> secret =
        token == null
            ? Optional.empty()
            : Optional.of(strong(token.read("adminToken", namedIn, environment)));
    if (admin == null) {
      return Optional.of(
          new AdminSettings(LOOPBACK, gatewayPort == 0 ? 0 : gatewayPort + 1, secret));
    }
    int colon = admin.lastIndexOf(':');
    String host = colon < 0 ? LOOPBACK : admin.substring(0, colon).replaceAll("[\\[\\]]", "");
    try {
      int port = Numbers.whole(admin.substring(colon + 1), 0, PORT_MAX);
      if (secret.isEmpty() && !InetAddress.getByName(host).isLoopbackAddress()) {
        throw new IOException(
            "admin: others can reach "
                + admin
                + ", and so it needs an adminToken, from a file or the environment");
      }
      return Optional.of(new AdminSettings(host, port, secret));
    } catch (NumberFormatException | UnknownHostException e) {
      throw new IOException("admin must be HOST:PORT, PORT or off, not " + admin);
    }
  }

  private static Secret strong(Secret token) throws IOException {
    String text = token.reveal();
    if (text.length() < TOKEN_LENGTH_MIN || text.chars().anyMatch(c -> c <= ' ' || c > '~')) {
      throw new IOException(
          "adminToken: at least "
              + TOKEN_LENGTH_MIN
              + " characters without a space, such as openssl rand -hex 16 gives");
    }
    return token;
  }
}
