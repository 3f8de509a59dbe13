package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.eventually;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.wire.Headers;
import java.io.IOException;
import java.math.BigInteger;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * kill -9 of a real gateway process between each two states of the payment machine: what follows
 * must converge.
 */
@ParameterizedClass
@ValueSource(booleans = {false, true})
class KillIT {
  @Parameter boolean onPostgres;

  @TempDir Path directory;

  @AfterEach
  void end() throws Exception {
    Spawned.endAll();
  }

  private TestGateway world;
  private Process process;
  private final byte[] body = bytes(chat("What is a receipt?"));

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory, onPostgres);
    spawn();
  }

  @AfterEach
  void stop() throws Exception {
    process.destroy();
    process.waitFor(10, TimeUnit.SECONDS);
    process.destroyForcibly();
    world.requireSound();
    world.close();
  }

  private void spawn() throws Exception {
    Path config = directory.resolve("gateway.yaml");
    Files.writeString(config, world.yaml());
    List<String> command = new ArrayList<>(Spawned.java());
    command.addAll(
        List.of("gateway", "--config", config.toString(), "--home", world.home.path().toString()));
    Spawned spawned = Spawned.start(command, directory.resolve("gateway.log"));
    process = spawned.process();
    world.url = spawned.awaitReady();
  }

  /** Holds the gateway at a call to the chain, kills it there, and starts it again. */
  private String killAt(String method, boolean afterForwarding) throws Exception {
    String payment = world.sign(body);
    CountDownLatch reached = new CountDownLatch(1);
    world.rpc.behave(
        (called, forward) -> {
          if (called.equals(method)) {
            if (afterForwarding) {
              String unused = forward.answer();
            }
            reached.countDown();
            Thread.sleep(20_000);
            throw new IOException("held");
          }
          return forward.answer();
        });
    CompletableFuture<HttpResponse<String>> lost =
        world.http.sendAsync(
            world.request(body).setHeader(Headers.PAYMENT_SIGNATURE, payment).build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(reached.await(30, TimeUnit.SECONDS)).isTrue();
    process.destroyForcibly().waitFor();
    assertThat(lost.handle((r, e) -> e).get(30, TimeUnit.SECONDS)).isNotNull();
    world.rpc.behaveWell();
    spawn();
    return payment;
  }

  private void converges(String payment) throws Exception {
    eventually(
        "the same payment gets its answer", () -> world.paid(body, payment).statusCode() == 200);
    BigInteger quoted = TestGateway.quoted(payment);
    assertThat(world.spent(world.buyer.address()))
        .isEqualTo(quoted)
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
    assertThat(world.ledgerHeld(world.buyer.address())).isZero();
    HttpResponse<String> other =
        world.post(bytes(chat("Who are you?")), Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(other.statusCode()).isEqualTo(409);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource({
    "claimed, eth_getCode, false",
    "verified, eth_estimateGas, false",
    "settling and not sent, eth_sendRawTransaction, false",
    "settling and sent, eth_sendRawTransaction, true",
    "settling and mined, eth_getTransactionReceipt, true",
  })
  void killedBetweenTwoStatesThePaymentIsChargedOnceAndServed(
      String state, String method, boolean after) throws Exception {
    converges(killAt(method, after));
  }

  @Test
  void killedWhileTheAnswerStreamsTheMoneyIsNotLost() throws Exception {
    byte[] longBody = TestGateway.longStream(3);
    String payment = world.sign(longBody);
    var response = world.paidStream(longBody, payment);
    response.body().readNBytes(200);
    process.destroyForcibly().waitFor();
    spawn();
    eventually(
        "the whole answer for the same payment",
        () -> {
          HttpResponse<String> again = world.paid(longBody, payment);
          return again.statusCode() == 200 && again.body().endsWith("data: [DONE]\n\n");
        });
    assertThat(world.spent(world.buyer.address()))
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
    assertThat(world.ledgerHeld(world.buyer.address())).isZero();
  }

  @Test
  void killedAfterTheAnswerTheSameAnswerComesAgain() throws Exception {
    String payment = world.sign(body);
    HttpResponse<String> first = world.paid(body, payment);
    process.destroyForcibly().waitFor();
    spawn();
    HttpResponse<String> again = world.paid(body, payment);
    assertThat(again.statusCode()).isEqualTo(200);
    assertThat(again.body()).isEqualTo(first.body());
    converges(payment);
  }

  @Test
  void killedAtRandomInstantsUnderLoadNoPaymentIsLostOrTakenTwice() throws Exception {
    Seeded seeded = new Seeded(7);
    List<EvmKey> buyers = new ArrayList<>();
    List<byte[]> bodies = new ArrayList<>();
    List<String> payments = new ArrayList<>();
    for (int round = 0; round < Size.of(3, 100); round++) {
      List<CompletableFuture<HttpResponse<String>>> inFlight = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        EvmKey buyer = world.fundedBuyer();
        byte[] request =
            bytes(
                chat("What is a token?")
                    .put("seed", round * 100 + i)
                    .put("stream", seeded.chance(0.5)));
        String payment = world.sign(request, buyer);
        buyers.add(buyer);
        bodies.add(request);
        payments.add(payment);
        inFlight.add(
            world.http.sendAsync(
                world.request(request).setHeader(Headers.PAYMENT_SIGNATURE, payment).build(),
                HttpResponse.BodyHandlers.ofString()));
      }
      Thread.sleep(seeded.below(250));
      process.destroyForcibly().waitFor();
      inFlight.forEach(f -> f.handle((r, e) -> r).join());
      spawn();
    }
    for (int i = 0; i < payments.size(); i++) {
      String payment = payments.get(i);
      byte[] request = bodies.get(i);
      eventually(
          "payment " + i + " gets its answer",
          () -> {
            int status = world.paid(request, payment).statusCode();
            return status == 200 || status == 402; // 402: never sent, and expired by now
          });
      BigInteger spent = world.spent(buyers.get(i).address());
      BigInteger quoted = TestGateway.quoted(payment);
      assertThat(spent)
          .isIn(BigInteger.ZERO, quoted)
          .isEqualTo(world.ledgerPaid(buyers.get(i).address()));
      assertThat(world.ledgerHeld(buyers.get(i).address())).isZero();
    }
  }
}
