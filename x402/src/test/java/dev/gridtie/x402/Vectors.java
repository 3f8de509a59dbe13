package dev.gridtie.x402;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmKey;
import java.io.IOException;
import java.io.InputStream;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Arrays;
import tools.jackson.databind.JsonNode;

/** The published vectors, and a client under the conditions they were made in. */
public final class Vectors {
  private Vectors() {}

  public static JsonNode read(String name) throws IOException, Json.MalformedJsonException {
    try (InputStream in = Vectors.class.getResourceAsStream("/vectors/" + name + ".json")) {
      return Json.parse(in.readAllBytes());
    }
  }

  public static EvmKey key(JsonNode vector, String whose) {
    return EvmKey.of(vector.path("privateKeys").path(whose).asString());
  }

  public static InstantSource clock(JsonNode vector) {
    return () -> Instant.ofEpochSecond(vector.path("fixedNow").asLong());
  }

  /** A source of randomness that gives the vector's byte for ever. */
  public static SecureRandom random(JsonNode vector) {
    return filledWith(Hex.decode(vector.path("randomByteFill").asString())[0]);
  }

  public static SecureRandom filledWith(int fill) {
    return new SecureRandom() {
      @Override
      public void nextBytes(byte[] bytes) {
        Arrays.fill(bytes, (byte) fill);
      }
    };
  }
}
