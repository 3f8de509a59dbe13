package dev.gridtie.x402.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.batch.BatchSigner;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.batch.ChannelBook;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.permit2.Permit2Client;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import java.io.ByteArrayInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A seller that answers as it likes, settles what it was given whenever it can, and a buyer that is
 * restarted now and then: what the seller can take never exceeds the caps.
 */
class HostileSellerProperties {
  private static final String NETWORK = "eip155:84532";
  private static final EvmAddress TOKEN =
      EvmAddress.of("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
  private static final EvmAddress SELLER =
      EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");

  /** Of a coin with 12 decimals, units are pico-dollars. */
  private static final int REQUEST_MAX = 100;

  private static final int DAY_MAX = 1000;
  private static final int DEPOSIT_MAX = 300;

  @TempDir Path directory;

  /** A signature that moves money once, while it is valid. */
  private static final class Held {
    /** For which it was signed, until that was answered whole. */
    String request;

    final String nonce;
    final long value;
    final long until;
    long settledAt = -1;

    Held(String request, String nonce, long value, long until) {
      this.request = request;
      this.nonce = nonce;
      this.value = value;
      this.until = until;
    }
  }

  /** What a buyer promised by vouchers, at a time, beyond what it had promised before. */
  private record Promise(long value, long at) {}

  /** One run. */
  private final class World implements Transport {
    final Seeded random;
    final EvmKey key = EvmKey.random(new SecureRandom());
    final Path home;
    final Map<String, Held> held = new HashMap<>();
    final List<Promise> promises = new ArrayList<>();
    final Map<String, Long> promised = new HashMap<>();
    final Set<String> used = new HashSet<>();
    long now = Instant.parse("2027-01-15T23:40:00Z").getEpochSecond();
    PayingClient client;

    World(Seeded random, Path home) throws IOException {
      this.random = random;
      this.home = home;
      client = start();
    }

    PayingClient start() throws IOException {
      InstantSource clock = () -> Instant.ofEpochSecond(now);
      SecureRandom secure = new SecureRandom();
      List<PaymentSigner> signers =
          List.of(
              new BatchSigner(
                  key,
                  new ChannelBook(home.resolve("channels.json")),
                  asked -> BigInteger.valueOf(DEPOSIT_MAX),
                  clock,
                  secure),
              new ExactClient(key, clock, secure),
              new Permit2Client(key, clock, secure),
              new UptoClient(key, clock, secure));
      Payer payer =
          new Payer(
              signers,
              new Payer.Limits(
                  BigInteger.valueOf(REQUEST_MAX),
                  List.of(new Coin(NETWORK, TOKEN.toString(), 12)),
                  List.of()));
      SpendingCaps caps =
          new SpendingCaps(
              BigInteger.valueOf(REQUEST_MAX),
              BigInteger.valueOf(DAY_MAX),
              home.resolve("spending.json"),
              clock,
              (nonce, until) ->
                  random.chance(0.2)
                      ? NonceWatch.Fate.OPEN
                      : used.contains(nonce.value())
                          ? NonceWatch.Fate.USED
                          : now >= until + Commitment.MARGIN_SECONDS
                              ? NonceWatch.Fate.VOID
                              : NonceWatch.Fate.OPEN);
      return new PayingClient(
          new CappedPayer(
              payer, caps, new FilePaymentJournal(home.resolve("payments.json")), clock),
          this,
          Duration.ZERO);
    }

    PaymentRequirements offer() {
      ObjectNode extra = Json.object().put("name", "USDC").put("version", "2");
      String scheme = random.of(List.of("exact", "exact", "upto", "batch-settlement"));
      switch (scheme) {
        case "upto" -> extra.put("facilitatorAddress", SELLER.toString());
        case "batch-settlement" -> {
          extra.put("receiverAuthorizer", SELLER.toString()).put("withdrawDelay", 900);
          if (random.chance(0.5)) {
            extra.put("minDeposit", Integer.toString(random.below(2 * DEPOSIT_MAX)));
          }
          if (random.chance(0.7)) {
            claims(extra);
          }
        }
        default -> {
          if (random.chance(0.3)) {
            extra.put("assetTransferMethod", "permit2");
          }
        }
      }
      return new PaymentRequirements(
          scheme,
          NETWORK,
          BigInteger.valueOf(1 + random.below(REQUEST_MAX + 10)),
          TOKEN.toString(),
          SELLER.toString(),
          random.of(List.of(5L, 60L, 300L, 315_360_000L)),
          extra);
    }

    /** The seller's word for how a channel stands. */
    void claims(ObjectNode extra) {
      promised.keySet().stream()
          .findFirst()
          .ifPresent(
              channel ->
                  extra
                      .putObject("channelState")
                      .put("channelId", channel)
                      .put("chargedCumulativeAmount", Integer.toString(random.below(200)))
                      .put("balance", Integer.toString(random.below(2000))));
    }

    @Override
    public PayingClient.Answer exchange(
        String method, URI url, Map<String, String> headers, byte[] body) throws IOException {
      String payment = headers.get(Headers.PAYMENT_SIGNATURE);
      if (payment == null) {
        return answer(402, "");
      }
      try {
        take(new String(body, UTF_8), PaymentPayload.fromHeader(payment));
      } catch (MalformedPaymentException e) {
        throw new AssertionError(e);
      }
      if (random.chance(0.2)) {
        throw new IOException("timed out");
      }
      return answer(
          random.of(List.of(200, 200, 402, 402, 400, 409, 429, 500, 502, 504, 302)),
          new String(body, UTF_8));
    }

    PayingClient.Answer answer(int status, String request) {
      Map<String, List<String>> headers = new HashMap<>();
      if (status == 402) {
        List<PaymentRequirements> offers = List.of(offer(), offer());
        headers.put(
            Headers.PAYMENT_REQUIRED,
            List.of(
                new PaymentRequired("pay", new ResourceInfo("http://x", "x", "text/plain"), offers)
                    .toHeader()));
      }
      boolean cut = random.chance(0.3);
      if (status == 200 && !cut) {
        held.values().stream().filter(h -> h.request.equals(request)).forEach(h -> h.request = "");
      }
      InputStream body =
          new FilterInputStream(new ByteArrayInputStream("answer".getBytes(UTF_8))) {
            @Override
            public int read(byte[] into, int offset, int length) throws IOException {
              int read = super.read(into, offset, length);
              if (read < 0 && cut) {
                throw new IOException("cut");
              }
              return read;
            }
          };
      return new PayingClient.Answer(status, HttpHeaders.of(headers, (a, b) -> true), body);
    }

    void take(String request, PaymentPayload payment) throws MalformedPaymentException {
      JsonNode p = payment.payload();
      if (p.has("authorization")) {
        JsonNode a = p.path("authorization");
        hold(request, a.path("nonce").asString(), a.path("value"), a.path("validBefore"));
      } else if (p.has("permit2Authorization")) {
        JsonNode a = p.path("permit2Authorization");
        String nonce =
            Hex.encode(dev.gridtie.x402.evm.Abi.word(new BigInteger(a.path("nonce").asString())));
        hold(request, nonce, a.path("permitted").path("amount"), a.path("deadline"));
      } else {
        BatchTypes.Payload batch = BatchTypes.Payload.fromJson(p);
        long most = batch.voucher().maxClaimable().longValueExact();
        String channel = Hex.encode(batch.voucher().channelId());
        long before = promised.getOrDefault(channel, 0L);
        if (most > before) {
          promised.put(channel, most);
          promises.add(new Promise(most - before, now));
        }
        if (batch instanceof BatchTypes.Payload.Deposit deposit) {
          JsonNode a = p.path("deposit").path("authorization").path("erc3009Authorization");
          hold(
              request,
              a.path("salt").asString(),
              p.path("deposit").path("amount"),
              a.path("validBefore"));
          assertThat(deposit.amount()).isLessThanOrEqualTo(BigInteger.valueOf(DEPOSIT_MAX));
        }
      }
    }

    void hold(String request, String nonce, JsonNode value, JsonNode until) {
      Held one =
          new Held(
              request, nonce, Long.parseLong(value.asString()), Long.parseLong(until.asString()));
      assertThat(one.until).as("valid for what the buyer chose").isLessThanOrEqualTo(now + 90);
      held.putIfAbsent(nonce, one);
    }

    void settleSome() {
      for (Held one : held.values()) {
        if (one.settledAt < 0 && now < one.until && random.chance(0.3)) {
          one.settledAt = now;
          used.add(one.nonce);
        }
      }
    }

    void requireBounds() {
      LocalDate today = day(now);
      long money = 0;
      Map<String, Integer> open = new HashMap<>();
      for (Held one : held.values()) {
        boolean live = one.settledAt < 0 && now < one.until;
        if (live || (one.settledAt >= 0 && day(one.settledAt).equals(today))) {
          money += one.value;
        }
        if (live && !one.request.isEmpty()) {
          open.merge(one.request, 1, Integer::sum);
        }
      }
      long vouchers =
          promises.stream().filter(p -> day(p.at()).equals(today)).mapToLong(Promise::value).sum();
      assertThat(money).as("what can leave the wallet today").isLessThanOrEqualTo(DAY_MAX);
      assertThat(vouchers).as("what vouchers of today promise").isLessThanOrEqualTo(DAY_MAX);
      assertThat(open.values()).as("one signature a request").allMatch(n -> n == 1);
    }

    LocalDate day(long seconds) {
      return LocalDate.ofInstant(Instant.ofEpochSecond(seconds), ZoneOffset.UTC);
    }

    void step() throws IOException, InterruptedException {
      byte[] body = ("request " + random.below(25)).getBytes(UTF_8);
      try {
        PayingClient.Result result =
            client.send("POST", URI.create("http://seller/"), Map.of(), body);
        if (result instanceof PayingClient.Result.Answered answered) {
          try (InputStream in = answered.response().body()) {
            var unused = in.readAllBytes();
          }
        }
      } catch (IOException e) {
        assertThat(e).hasMessage("cut"); // the seller's doing
      }
      requireBounds();
      settleSome();
      now += random.chance(0.1) ? 3600 + random.below(20_000) : random.below(20);
      requireBounds();
      if (random.chance(0.1)) {
        client = start();
      }
    }
  }

  @Test
  void aSellerNeverHoldsMoreThanTheCapsHoweverItAnswers() throws IOException {
    List<World> worlds = new ArrayList<>();
    Seeded.check(
        10,
        random -> {
          try {
            World world = new World(random, Files.createTempDirectory(directory, "buyer"));
            worlds.add(world);
            for (int i = 0; i < 60; i++) {
              world.step();
            }
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        });
    assertThat(worlds).allMatch(w -> w.held.size() > 3, "the buyer does pay");
    assertThat(worlds).anyMatch(w -> !w.promised.isEmpty(), "by vouchers too");
  }
}
