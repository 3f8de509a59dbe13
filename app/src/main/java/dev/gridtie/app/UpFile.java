package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.EvmNonces;
import dev.gridtie.x402.client.NonceWatch;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.PaymentJournal;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.exact.ExactClient;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What {@code gridtie up} writes into its home: how to reach what is running, and whose wallet
 * pays.
 */
record UpFile(
    URI gateway,
    URI admin,
    URI rpc,
    long chainId,
    String asset,
    String payTo,
    String buyer,
    Path buyerKeyFile) {
  void write(Home home) throws IOException {
    ObjectNode json = Json.object();
    json.put("gateway", gateway.toString());
    json.put("admin", admin.toString());
    json.put("rpc", rpc.toString());
    json.put("chainId", chainId);
    json.put("asset", asset);
    json.put("payTo", payTo);
    json.put("buyer", buyer);
    json.put("buyerKeyFile", buyerKeyFile.toString());
    Path next = home.path().resolve("up.json.next");
    Files.writeString(next, Json.write(json) + "\n");
    Files.move(
        next, home.upJson(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  static UpFile read(Home home) throws IOException {
    if (!Files.exists(home.upJson())) {
      throw new Main.Failure(
          "nothing was started in " + home.path() + " yet: run ./gridtie up first");
    }
    try {
      JsonNode json = Json.parse(Files.readAllBytes(home.upJson()));
      return new UpFile(
          URI.create(json.path("gateway").asString()),
          URI.create(json.path("admin").asString("")),
          URI.create(json.path("rpc").asString()),
          json.path("chainId").asLong(),
          json.path("asset").asString(),
          json.path("payTo").asString(),
          json.path("buyer").asString(),
          Path.of(json.path("buyerKeyFile").asString()));
    } catch (Json.MalformedJsonException | RuntimeException e) {
      throw new IOException(home.upJson() + " cannot be read: " + e.getMessage());
    }
  }

  /** A client that pays from the buyer's wallet, on this network and in this coin only. */
  PayingClient payingClient(SpendingCaps caps, PaymentJournal journal, Validity validity)
      throws IOException {
    ExactClient signer =
        new ExactClient(Home.readEvmKey(buyerKeyFile), validity, new SecureRandom());
    Coin coin = new Coin("eip155:" + chainId, asset, 6);
    return new PayingClient(
        new Payer(
            List.of(signer), new Payer.Limits(caps.perRequestMax(), List.of(coin), List.of())),
        caps,
        journal);
  }

  /** Asks this network's chain what became of what was signed. */
  NonceWatch watch() {
    return new EvmNonces(
        Map.of("eip155:" + chainId, new JsonRpcChain(rpc, Duration.ofSeconds(10))));
  }

  /** Dollars as pico-dollars. */
  static BigInteger pico(String option, String dollars) {
    try {
      return dev.gridtie.base.PicoUsd.ofDollars(dollars).pico();
    } catch (IllegalArgumentException e) {
      throw new Main.Failure(option + " must be dollars, such as 0.05, not " + dollars);
    }
  }
}
