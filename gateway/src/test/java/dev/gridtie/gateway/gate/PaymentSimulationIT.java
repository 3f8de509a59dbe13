package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.gateway.gate.PaymentDesk.Admission;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.HedgeBudget;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.gateway.relay.Relay;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.gateway.till.Presence;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.batch.BatchFacilitator;
import dev.gridtie.x402.evm.batch.BatchServer;
import dev.gridtie.x402.evm.batch.BatchSigner;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.batch.BatchWithdrawal;
import dev.gridtie.x402.evm.batch.ChannelBook;
import dev.gridtie.x402.evm.batch.ChannelState;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.exact.ExactFacilitator;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.evm.exact.ExactTypes;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.permit2.Permit2Client;
import dev.gridtie.x402.evm.permit2.Permit2Facilitator;
import dev.gridtie.x402.evm.permit2.Permit2Server;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.evm.upto.UptoFacilitator;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.facilitator.Facilitator;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import java.io.IOException;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/**
 * Random runs by seed: payers of every scheme, on a real chain behind a proxy that loses calls and
 * answers, with a desk that is cut off and begun again. Payers send copies, reuse payments, empty
 * their wallets, leave in the middle and withdraw their deposits. Whatever happens, in the end
 * chain, contract and ledger agree to the last atomic unit, no payment has bought two answers, and
 * no answer was charged twice.
 */
class PaymentSimulationIT {
  private static final BigInteger FUNDS = BigInteger.valueOf(1_000_000_000);
  private static final EvmAddress SINK = EvmAddress.of("0x" + "5".repeat(40));
  private static final InstantSource CLOCK = InstantSource.system();
  private static final String ASSET = LocalChain.NETWORK + ":" + LocalChain.USDC.lower();
  private static final int PROMPT = 5;
  private static final int TOKENS_MAX = 20;
  private static final Prices PRICES =
      Prices.of(PicoUsd.ofDollars("0.00001"), PicoUsd.ofDollars("0.0000123"));
  private static final int RUNS_IN_EPOCH = 40;

  @TempDir Path directory;
  private final Vertx vertx = Vertx.vertx();
  private LocalChain chain;
  private FaultyProxy proxy;
  private final SecureRandom random = new SecureRandom();
  private final EvmKey gas = EvmKey.random(random);
  private final EvmAddress payTo = EvmKey.random(random).address();
  private final List<Payer> payers = new ArrayList<>();
  private final Map<String, AtomicLong> outcomes = new ConcurrentHashMap<>();

  // What payments have bought, by their keys

  /** The orders of which something was given. */
  private final Map<String, Set<String>> served = new ConcurrentHashMap<>();

  /** The answers that were given whole. */
  private final Map<String, Set<String>> whole = new ConcurrentHashMap<>();

  /** What was given, at most: so much may rightly be charged. */
  private final Map<String, PicoUsd> worth = new ConcurrentHashMap<>();

  private final Map<String, String> payerOf = new ConcurrentHashMap<>();

  // One life of a desk
  private Database database;
  private PaymentDesk desk;
  private Offers offers;

  /** Somebody who pays. */
  private final class Payer {
    final EvmKey key = EvmKey.random(random);
    final ChannelBook book;
    final List<PaymentSigner> signers;
    BigInteger drained = BigInteger.ZERO;

    Payer(int number) throws Exception {
      chain.mint(key.address(), FUNDS);
      chain.allowPermit2(LocalChain.USDC_TOKEN, key.address());
      chain.giveGas(key.address());
      book = new ChannelBook(directory.resolve("book-" + number));
      signers =
          List.of(
              new ExactClient(key, CLOCK, random),
              new Permit2Client(key, CLOCK, random),
              new UptoClient(key, CLOCK, random),
              new BatchSigner(key, book, asked -> BigInteger.valueOf(1_000_000), CLOCK, random));
    }

    String address() {
      return key.address().lower();
    }
  }

  private void count(String outcome) {
    outcomes.computeIfAbsent(outcome, k -> new AtomicLong()).incrementAndGet();
  }

  @Test
  void moneyIsNeitherLostNorTakenTwice() throws Exception {
    int runs = Size.of(400, 6_000);
    Path root = Path.of(System.getProperty("gridtie.root"));
    int port;
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    chain =
        LocalChain.start(
            LocalChain.program(root.resolve("native/node_modules")),
            directory.resolve("chain"),
            port);
    proxy = new FaultyProxy(chain.url());
    try {
      chain.giveGas(gas.address());
      for (int i = 0; i < 12; i++) {
        payers.add(new Payer(i));
      }
      long seed = Long.getLong("gridtie.seed", 402L);
      for (int done = 0; done < runs; done += RUNS_IN_EPOCH) {
        try {
          epoch(new Seeded(seed + done), runs - done <= RUNS_IN_EPOCH);
        } catch (AssertionError e) {
          throw new AssertionError("with -Dgridtie.seed=" + seed + ": " + e.getMessage(), e);
        }
      }
      System.out.println("payment simulation, " + runs + " runs: " + outcomes);
      assertThat(outcomes.get("answered whole").get()).isGreaterThan(runs / 8);
    } finally {
      proxy.close();
      chain.close();
      vertx.close();
    }
  }

  /** One life of a desk: many runs at once, then it is cut off or closed. */
  private void epoch(Seeded seeded, boolean last) throws Exception {
    double faults = seeded.of(List.of(0.0, 0.03, 0.15));
    misbehave(new SplittableRandom(seeded.number()), faults);
    open(seeded);
    boolean cutOff = seeded.chance(0.4) && !last;
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Boolean>> all = new ArrayList<>();
      for (int i = 0; i < RUNS_IN_EPOCH; i++) {
        Seeded own = new Seeded(seeded.number());
        Payer payer = seeded.of(payers);
        all.add(threads.submit(() -> run(own, payer)));
        if (seeded.chance(0.3)) {
          Thread.sleep(seeded.below(30));
        }
      }
      if (cutOff) {
        Thread.sleep(seeded.below(400));
        count("cut off");
        database.close(); // what is being worked on is left as it stands
        desk.close();
      }
      for (Future<Boolean> one : all) {
        boolean unused = one.get();
      }
    }
    if (!cutOff) {
      close();
    }
    proxy.behaveWell();
    if (last || seeded.chance(0.3)) {
      converge(seeded);
      requireBalanced();
    }
  }

  private void misbehave(SplittableRandom dice, double faults) {
    proxy.behave(
        (method, forward) -> {
          double roll;
          synchronized (dice) {
            roll = dice.nextDouble();
          }
          if (roll < faults / 3) {
            throw new IOException("lost on the way there");
          }
          String answer = forward.answer();
          if (roll < 2 * faults / 3) {
            throw new IOException("lost on the way back");
          }
          return roll < faults
              ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"busy\"}}"
              : answer;
        });
  }

  // The desk

  private void open(Seeded seeded) throws Exception {
    JsonRpcChain rpc = new JsonRpcChain(proxy.url(), Duration.ofSeconds(2));
    BigInteger feeCap = BigInteger.valueOf(500_000_000_000L);
    SenderPool senders = SenderPool.of(rpc, LocalChain.CHAIN_ID, List.of(gas), feeCap, CLOCK);
    Settler settler = new Settler(rpc, senders, Duration.ofMillis(600));
    String network = LocalChain.NETWORK;
    BatchFacilitator batch = new BatchFacilitator(rpc, settler, gas, CLOCK);
    Facilitator facilitator =
        new Facilitator(
            List.of(
                new Kind(
                    "exact",
                    network,
                    p -> !Permit2Types.Payload.isIn(p.payload()),
                    (p, r) -> ExactTypes.paymentKey(network, EvmFields.asset(r), p),
                    Json.object(),
                    new ExactFacilitator(rpc, settler, CLOCK)),
                new Kind(
                    "exact",
                    network,
                    p -> Permit2Types.Payload.isIn(p.payload()),
                    (p, r) -> Permit2Types.paymentKey(network, p),
                    Json.object(),
                    new Permit2Facilitator(rpc, settler, CLOCK)),
                new Kind(
                    "upto",
                    network,
                    p -> true,
                    (p, r) -> Permit2Types.paymentKey(network, p),
                    Json.object(),
                    new UptoFacilitator(rpc, settler, CLOCK)),
                new Kind(
                    BatchTypes.SCHEME,
                    network,
                    p -> true,
                    (p, r) -> batch.key(network, p),
                    Json.object(),
                    batch)));
    Till till = new Till(ASSET, payTo.lower());
    ClaimPolicy policy =
        new ClaimPolicy(
            PicoUsd.ofDollars(seeded.of(List.of("0.0001", "1000"))),
            Duration.ofHours(1),
            feeCap,
            Duration.ofSeconds(900),
            Duration.ofMillis(50));
    offers =
        new Offers(
            List.of(
                new Offers.Offer(new ExactServer(LocalChain.USDC_TOKEN, payTo, 60), till),
                new Offers.Offer(new Permit2Server(LocalChain.USDC_TOKEN, payTo, 60), till),
                new Offers.Offer(
                    new UptoServer(LocalChain.USDC_TOKEN, payTo, gas.address(), 300), till),
                new Offers.Offer(
                    new BatchServer(LocalChain.USDC_TOKEN, payTo, gas.address(), 900, false, 300),
                    Till.ofChannels(ASSET, payTo.lower()),
                    Optional.of(new Offers.Channeled(batch, till, policy)))));
    database = Database.open(Location.in(directory), List.of(GatewayTables.MIGRATIONS));
    Presence presence = new Presence(database, new SplittableRandom(2), System::nanoTime);
    desk =
        new PaymentDesk(
            new DeskParts(
                database,
                presence,
                offers,
                facilitator,
                new Exposure(Exposure.Caps.DEFAULT),
                new Relay(vertx, new SplittableRandom(1), new HedgeBudget(0)),
                new ReceiptSigner(KeyPairGenerator.getInstance("Ed25519").generateKeyPair()),
                CLOCK,
                new SplittableRandom(seeded.number()),
                Duration.ofHours(1)));
    desk.start();
  }

  private void close() {
    desk.close();
    database.close();
  }

  // What is asked, and how it is answered

  /** So many tokens will come, or it breaks after some. */
  private static Order order(Seeded seeded) {
    int tokens = seeded.below(TOKENS_MAX + 1);
    int breaksAt = seeded.chance(0.1) ? seeded.below(tokens + 1) : -1;
    String plan = seeded.number() + " " + tokens + " " + breaksAt + " " + seeded.chance(0.5);
    byte[] body = plan.getBytes(UTF_8);
    boolean stream = seeded.chance(0.5);
    Job job =
        new Job(new OpenAiTranslator(false), body, Map.of(), stream, Optional.empty(), true)
            .withLimit(TOKENS_MAX);
    String hash = Hex.encode(Hashes.sha256(body)).substring(2);
    Plan who = new Plan(List.of(leg()), false, leg -> Optional.empty());
    return new Order(hash, hash, job, who, PROMPT, TOKENS_MAX, who.bound(PROMPT, TOKENS_MAX));
  }

  private static Leg leg() {
    AnswerSource source =
        new AnswerSource() {
          @Override
          public Outcome<Integer> promptTokens(ChatRequest request) {
            return Outcome.ok(PROMPT);
          }

          @Override
          public Running start(Job job, AnswerSink sink) {
            Thread thread = Thread.ofVirtual().start(() -> say(job, sink));
            return thread::interrupt;
          }

          @Override
          public boolean isReady() {
            return true;
          }
        };
    Endpoint endpoint =
        new Endpoint(
            "a",
            "a",
            Optional.of(Dialect.OPENAI),
            PRICES,
            1000,
            1000,
            "unknown",
            Set.of(),
            DataPolicy.OWN,
            Set.of(),
            "",
            List.of(new Channel("a", source, new Breaker(CLOCK))),
            new Health(CLOCK));
    return new Leg(new Model("m", "m", "", 0, 1000, List.of(endpoint)), endpoint);
  }

  private static void say(Job job, AnswerSink sink) {
    String[] plan = new String(job.body(), UTF_8).split(" ", -1);
    int tokens = Integer.parseInt(plan[1]);
    int breaksAt = Integer.parseInt(plan[2]);
    boolean slow = Boolean.parseBoolean(plan[3]);
    int said = 0;
    boolean cancelled = false;
    while (said < tokens && said + 1 != breaksAt && !cancelled) {
      said++;
      String word = plan[0] + "/" + said + " ";
      sink.piece(new Piece(Buffer.buffer(word), word, said));
      try {
        Thread.sleep(slow ? 1 : 0);
      } catch (InterruptedException e) {
        cancelled = true;
      }
    }
    if (breaksAt >= 0 && !cancelled) {
      ApiError broken = ApiError.of(ApiError.Kind.BAD_GATEWAY, "broken", "broken");
      sink.failed(Failure.of(Failure.Kind.OURS, broken));
    } else {
      Usage usage = new Usage(PROMPT, 0, 0, said, 0);
      sink.ended(new Ending(FinishReason.STOP, usage, cancelled, Buffer.buffer(), List.of()));
    }
  }

  // One run

  private boolean run(Seeded seeded, Payer payer) throws Exception {
    Order order = order(seeded);
    List<PaymentRequirements> accepts = offers.requirements(order.quote());
    int way = seeded.below(accepts.size());
    PaymentRequirements asked = accepts.get(way);
    PaymentSigner signer = payer.signers.get(way);
    PaymentPayload payment;
    synchronized (payer) {
      if (!signer.canSign(asked)) {
        count("channel in use");
        return false;
      }
      payment =
          PaymentPayload.fromJson(
              PaymentPayload.v2(signer.sign(2, asked), Json.array(), asked.toJson()));
    }
    if (seeded.chance(0.05)) {
      drain(payer);
    }
    if (seeded.chance(0.03)) {
      withdraw(payer);
    }
    int copies = seeded.chance(0.2) ? 2 + seeded.below(4) : 1;
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Boolean>> all = new ArrayList<>();
      for (int i = 0; i < copies; i++) {
        // Now and then the same payment comes with another order.
        Order sent = i > 0 && seeded.chance(0.3) ? order(seeded) : order;
        Seeded own = new Seeded(seeded.number());
        all.add(threads.submit(() -> new Sending(own, payer, signer, sent, payment).send(asked)));
      }
      for (Future<Boolean> one : all) {
        boolean unused = one.get();
      }
    }
    return true;
  }

  /** Half of the payer's money goes elsewhere. */
  private void drain(Payer payer) throws Exception {
    synchronized (payer) {
      BigInteger half = chain.usdc(payer.key.address()).divide(BigInteger.TWO);
      chain.as(
          payer.key.address(),
          LocalChain.USDC,
          Abi.call("transfer(address,uint256)", Abi.word(SINK), Abi.word(half)));
      payer.drained = payer.drained.add(half);
    }
    count("drained");
  }

  private void withdraw(Payer payer) throws Exception {
    for (ChannelBook.Line line : payer.book.all()) {
      if (line.balance().signum() > 0) {
        chain.as(
            payer.key.address(),
            BatchTypes.BATCH,
            BatchWithdrawal.begin(line.config(), line.balance()));
        count("withdrawal begun");
      }
    }
  }

  /** One payment with one order, sent and read by one client. */
  private final class Sending {
    private final Seeded seeded;
    private final Payer payer;
    private final PaymentSigner signer;
    private final Order order;
    private final PaymentPayload payment;
    private final String key;

    Sending(Seeded seeded, Payer payer, PaymentSigner signer, Order order, PaymentPayload payment)
        throws Exception {
      this.seeded = seeded;
      this.payer = payer;
      this.signer = signer;
      this.order = order;
      this.payment = payment;
      this.key = offers.of(payment).orElseThrow().charge().paymentKey(payment);
      payerOf.put(key, payer.address());
    }

    /** Sends it until it is answered or refused for good, a few times. */
    boolean send(PaymentRequirements asked) throws Exception {
      for (int attempt = 0; attempt < 4; attempt++) {
        boolean over;
        try {
          Optional<Admission> before = desk.recall(payment, order.fingerprint());
          Admission admission =
              before.isPresent() ? before.get() : desk.admit(order, payment, asked);
          over = isOver(admission, asked);
        } catch (StoreException | RejectedExecutionException e) {
          count("desk is gone");
          return false;
        }
        if (over) {
          return true;
        }
        Thread.sleep(seeded.below(60));
      }
      return false;
    }

    private boolean isOver(Admission admission, PaymentRequirements asked) throws Exception {
      return switch (admission) {
        case Admission.Replay replay -> {
          count("replayed");
          given(new String(replay.answer().body(), UTF_8));
          signer.answered(payment, Optional.of(replay.settlement()));
          yield true;
        }
        case Admission.Refuse refuse ->
            refused("refused ", refuse.error(), asked, refuse.correction());
        case Admission.Serve serve -> read(serve.ticket(), asked);
      };
    }

    private boolean refused(
        String where, ApiError error, PaymentRequirements asked, ObjectNode correction) {
      count(where + error.code());
      if (signer.keepsAccount(asked)) {
        boolean unused = signer.corrected(payment, List.of(asked.withExtra(correction)));
      }
      return error.kind() != ApiError.Kind.UNAVAILABLE;
    }

    /** Whether it is over: answered, or refused for good. */
    private boolean read(Ticket ticket, PaymentRequirements asked) throws Exception {
      try {
        return switch (ticket.awaitGate()) {
          case Ticket.Gate.Known known -> true;
          case Ticket.Gate.Shut shut -> refused("shut ", shut.error(), asked, shut.correction());
          case Ticket.Gate.Open open -> take(ticket, open);
        };
      } finally {
        ticket.leave();
      }
    }

    private boolean take(Ticket ticket, Ticket.Gate.Open open) throws InterruptedException {
      int leaveAfter = seeded.chance(0.2) ? seeded.below(TOKENS_MAX) : Integer.MAX_VALUE;
      StringBuilder text = new StringBuilder();
      int pieces = 0;
      long tokens = 0;
      while (true) {
        switch (open.answer().await(pieces)) {
          case Answer.Next.Text next -> {
            next.pieces().forEach(p -> text.append(p.said()));
            pieces += next.pieces().size();
            tokens = next.pieces().getLast().tokens();
            if (order.job().stream()) {
              reached(tokens);
              ticket.delivered(tokens);
            }
            if (pieces >= leaveAfter) {
              // It is finished for its payer, or charged as far as it has come by then.
              reached(Long.parseLong(new String(order.job().body(), UTF_8).split(" ", -1)[1]));
              count("left in the middle");
              return true;
            }
          }
          case Answer.Next.Ended ended -> {
            boolean all = ended.end() instanceof Answer.End.Whole w && !w.ending().cancelled();
            return all ? whole(ticket, open, text.toString(), tokens) : broken(ticket);
          }
        }
      }
    }

    private boolean whole(Ticket ticket, Ticket.Gate.Open open, String text, long tokens) {
      reached(tokens);
      ticket.deliveredWhole();
      boolean written;
      try {
        written = ticket.finish();
      } catch (RuntimeException e) {
        count("could not be written down");
        return false;
      }
      Optional<SettleResponse> settled =
          ticket.bill().isPresent()
              ? ticket.bill().map(Ticket.Bill::settlement)
              : Optional.ofNullable(open.settlement());
      boolean paid = settled.map(SettleResponse::success).orElse(false);
      if (order.job().stream() || (written && paid)) {
        given(text);
      }
      count(paid ? "answered whole" : "answered, not paid");
      if (paid) {
        signer.answered(payment, settled);
      }
      return paid;
    }

    private boolean broken(Ticket ticket) {
      try {
        boolean unused = ticket.finish();
      } catch (RuntimeException e) {
        count("could not be written down");
      }
      count("broken");
      return false;
    }

    /** So much of an answer has reached the payer: so much may be charged, once. */
    private void reached(long tokens) {
      if (tokens > 0) {
        serves();
      }
      PicoUsd now = PRICES.cost(new Usage(PROMPT, 0, 0, tokens, 0));
      PicoUsd unused = worth.merge(key, now, (a, b) -> a.compareTo(b) >= 0 ? a : b);
    }

    private void serves() {
      boolean unused =
          served.computeIfAbsent(key, k -> ConcurrentHashMap.newKeySet()).add(order.fingerprint());
    }

    private void given(String text) {
      serves();
      boolean unused = whole.computeIfAbsent(key, k -> ConcurrentHashMap.newKeySet()).add(text);
    }
  }

  // The end

  /** Lets a desk come to rest on a chain that answers, until nothing is open. */
  private void converge(Seeded seeded) throws Exception {
    open(seeded);
    for (int i = 0; i < 300; i++) {
      Thread.sleep(100);
      boolean rest =
          database.read(
              c ->
                  PaymentStore.inStates(
                              c,
                              PaymentState.CLAIMED,
                              PaymentState.VERIFIED,
                              PaymentState.SETTLING,
                              PaymentState.UNKNOWN)
                          .isEmpty()
                      && PaymentStore.holding(c).isEmpty());
      if (rest) {
        close();
        return;
      }
    }
    List<String> open =
        database.read(
            c ->
                PaymentStore.inStates(
                        c, PaymentState.VERIFIED, PaymentState.SETTLING, PaymentState.UNKNOWN)
                    .stream()
                    .map(
                        p ->
                            p.state()
                                + " "
                                + p.requirements().scheme()
                                + " nonce "
                                + p.sent().map(t -> t.nonce().toString()).orElse("none"))
                    .toList());
    throw new AssertionError(
        open
            + " are still open; mined nonce "
            + chain.rpc().minedNonce(gas.address())
            + ", pending "
            + chain.rpc().pendingNonce(gas.address()));
  }

  private void requireBalanced() throws Exception {
    Database closed = Database.open(Location.in(directory), List.of(GatewayTables.MIGRATIONS));
    try {
      BigInteger left = BigInteger.ZERO;
      BigInteger claimed = BigInteger.ZERO;
      for (Payer payer : payers) {
        BigInteger inChannels = BigInteger.ZERO;
        BigInteger charged = BigInteger.ZERO;
        for (byte[] id : channels(payer)) {
          ChannelState now = ChannelState.of(chain.rpc(), payTo, id);
          inChannels = inChannels.add(now.balance());
          claimed = claimed.add(now.totalClaimed());
          left = left.add(now.left());
          Optional<ChannelRow> row = closed.read(c -> ChannelStore.find(c, LocalChain.NETWORK, id));
          charged = charged.add(row.map(ChannelRow::charged).orElse(BigInteger.ZERO));
          assertThat(charged).as("no more than is there").isLessThanOrEqualTo(inChannels);
        }
        BigInteger gone = FUNDS.subtract(chain.usdc(payer.key.address())).subtract(payer.drained);
        AccountId account = new AccountId(ASSET, "payer:" + payer.address());
        assertThat(gone.subtract(inChannels))
            .as("what " + payer.address() + " paid beside its channels is in the ledger")
            .isEqualTo(atomic(credits(closed, account)).subtract(charged));
        PicoUsd rightly =
            worth.entrySet().stream()
                .filter(e -> payer.address().equals(payerOf.get(e.getKey())))
                .map(Map.Entry::getValue)
                .reduce(PicoUsd.ZERO, PicoUsd::plus);
        assertThat(debits(closed, account))
            .as("charged once for what it got")
            .isLessThanOrEqualTo(rightly.pico());
      }
      BigInteger custody = atomic(debits(closed, new AccountId(ASSET, "custody:" + payTo.lower())));
      BigInteger booked =
          atomic(credits(closed, new AccountId(ASSET, "channels:" + payTo.lower())));
      BigInteger contract = chain.usdc(BatchTypes.BATCH);
      assertThat(booked).as("claims in the ledger").isLessThanOrEqualTo(claimed);
      assertThat(chain.usdc(payTo).add(contract).subtract(left))
          .as("all that came is the operator's, or claimed for it")
          .isEqualTo(custody.add(claimed.subtract(booked)));
      served.forEach((key, orders) -> assertThat(orders).as(key).hasSizeLessThanOrEqualTo(1));
      whole.forEach((key, answers) -> assertThat(answers).as(key).hasSizeLessThanOrEqualTo(1));
    } finally {
      closed.close();
    }
    if (Verifier.verify(Location.in(directory), n -> {})
        instanceof Verifier.Report.Damaged damaged) {
      throw new AssertionError(damaged.problem());
    }
  }

  /** The channels of a payer, one here: deposits count, whether its book knows of them or not. */
  private List<byte[]> channels(Payer payer) throws Exception {
    PaymentRequirements asked = offers.channelRequirements().getFirst();
    return List.of(
        new dev.gridtie.x402.evm.batch.BatchClient(payer.key, payer.key, CLOCK, random)
            .channel(asked, new byte[32])
            .id(LocalChain.CHAIN_ID));
  }

  private static BigInteger credits(Database closed, AccountId account) {
    return closed.read(
        c ->
            new LedgerReader(c)
                .account(account)
                .map(a -> a.creditsPosted())
                .orElse(BigInteger.ZERO));
  }

  private static BigInteger debits(Database closed, AccountId account) {
    return closed.read(
        c ->
            new LedgerReader(c)
                .account(account)
                .map(a -> a.debitsPosted())
                .orElse(BigInteger.ZERO));
  }

  private static BigInteger atomic(BigInteger pico) {
    return new PicoUsd(pico).toAtomicRoundedUp(6);
  }
}
