package dev.gridtie.x402.wire;

import java.util.Map;
import java.util.Optional;

/**
 * Network names: v2 writes CAIP-2 ({@code eip155:84532}), v1 wrote names ({@code base-sepolia}).
 */
public final class Networks {
  private static final Map<String, String> V1_BY_CAIP2 =
      Map.of(
          "eip155:8453", "base",
          "eip155:84532", "base-sepolia",
          "eip155:43114", "avalanche",
          "eip155:137", "polygon",
          "eip155:1329", "sei");

  private Networks() {}

  /** The v1 name of a CAIP-2 network, where it has one. */
  public static Optional<String> v1Name(String caip2) {
    return Optional.ofNullable(V1_BY_CAIP2.get(caip2));
  }

  /** The CAIP-2 name of a v1 network, where it is known. */
  public static Optional<String> caip2(String v1Name) {
    return V1_BY_CAIP2.entrySet().stream()
        .filter(e -> e.getValue().equals(v1Name))
        .map(Map.Entry::getKey)
        .findFirst();
  }

  /** The chain id of an {@code eip155} network, where it is one. */
  public static Optional<Long> evmChainId(String caip2) {
    if (!caip2.matches("eip155:[1-9][0-9]{0,17}")) {
      return Optional.empty();
    }
    return Optional.of(Long.parseLong(caip2.substring("eip155:".length())));
  }
}
