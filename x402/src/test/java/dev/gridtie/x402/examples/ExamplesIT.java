package dev.gridtie.x402.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.exact.ExactFacilitator;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.evm.exact.ExactTypes;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.Facilitator;
import dev.gridtie.x402.facilitator.FacilitatorDesk;
import dev.gridtie.x402.facilitator.FileJournal;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The examples of the README, run. */
class ExamplesIT {
  private static final EvmAddress PAYEE =
      EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");

  @TempDir Path directory;

  private static int freePort() throws Exception {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  @Test
  void theExampleClientPaysTheExampleServerOnce() throws Exception {
    Path root = Path.of(System.getProperty("gridtie.root"));
    InstantSource clock = InstantSource.system();
    try (LocalChain chain =
        LocalChain.start(
            LocalChain.program(root.resolve("native/node_modules")), directory, freePort())) {
      EvmKey gas = EvmKey.random(new SecureRandom());
      EvmKey buyer = EvmKey.random(new SecureRandom());
      chain.giveGas(gas.address());
      chain.mint(buyer.address(), BigInteger.valueOf(1_000));
      SenderPool senders =
          SenderPool.of(
              chain.rpc(),
              LocalChain.CHAIN_ID,
              List.of(gas),
              BigInteger.valueOf(500_000_000_000L),
              clock);
      ExactFacilitator exact =
          new ExactFacilitator(
              chain.rpc(), new Settler(chain.rpc(), senders, Duration.ofSeconds(10)), clock);
      Facilitator kinds =
          new Facilitator(
              List.of(
                  new Facilitator.Kind(
                      "exact",
                      LocalChain.NETWORK,
                      payment -> true,
                      (payment, asked) ->
                          ExactTypes.paymentKey(LocalChain.NETWORK, LocalChain.USDC, payment),
                      Json.object(),
                      exact)));
      try (FacilitatorDesk desk =
          new FacilitatorDesk(
              kinds, new FileJournal(directory.resolve("settlements"), clock), clock)) {
        desk.start();
        HttpServer server =
            ExampleServer.start(new ExactServer(LocalChain.USDC_TOKEN, PAYEE, 60), desk);
        URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/answer");
        assertThat(ExampleClient.get(url, buyer, directory)).isEqualTo("42");
        assertThat(chain.usdc(PAYEE)).isEqualTo(BigInteger.valueOf(1_000));
        assertThat(chain.usdc(buyer.address())).isZero();
        server.stop(0);
      }
    }
  }
}
