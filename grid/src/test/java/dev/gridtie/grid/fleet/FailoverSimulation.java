package dev.gridtie.grid.fleet;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import dev.gridtie.testkit.Size;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The gateway's side of the grid as it is, in virtual time, over nodes that vanish, freeze, fall
 * silent, give their machine back, refuse and lie, at any moment. Whatever happens, a client hears
 * each token once, in order, and those that it would have heard; and nobody is paid for a token
 * that another was paid for.
 */
class FailoverSimulation {
  private static final long MS = 1_000_000L;
  private static final int NODES = 12;
  private static final int ANSWERS = Size.of(600, 20_000);
  private static final int SLOTS = 4;

  private static final Variant WEIGHTS =
      new Variant("Q8_0", "a".repeat(64), 1 << 20, 1 << 20, List.of("a".repeat(64)));
  private static final Manifest MODEL =
      new Manifest("model", "mit", "b".repeat(64), 4096, 1000, 1000, 2, 64, 32, List.of(WEIGHTS));

  private record At(long time, long order, Runnable what) implements Comparable<At> {
    @Override
    public int compareTo(At other) {
      int byTime = Long.compare(time, other.time);
      return byTime != 0 ? byTime : Long.compare(order, other.order);
    }
  }

  private final PriorityQueue<At> events = new PriorityQueue<>();
  private final List<Node> nodes = new ArrayList<>();
  private final List<WorkDone> work = new ArrayList<>();
  private final Map<String, Integer> troubles = new HashMap<>();
  private Random random = new Random(0);
  private long now = 1;
  private long orders;
  private Map<String, Counter> counters = Map.of();
  private Grid grid = newGrid();

  private Grid newGrid() {
    return new Grid(
        new Grid.Config(
            "gateway",
            List.of(new Grid.Offered("", new FromGateway.Offer.Wanted(MODEL, 1024, ""))),
            Set.of("b", "c"),
            counters,
            new Admission() {
              @Override
              public Decision decide(FromNode.Hello hello) {
                return new Decision.Admitted("", false);
              }

              @Override
              public boolean stillMember(String pool, String address) {
                return true;
              }
            },
            (digest, signature) -> "0x%040x".formatted(signature[0]),
            work::add,
            () -> {},
            event -> {}),
        () -> now,
        random,
        what -> after(0, what));
  }

  private void after(long nanos, Runnable what) {
    events.add(new At(now + nanos, orders++, what));
  }

  /** The token at a place of an answer: whoever generates it. */
  private static int token(long seed, int index) {
    return (int) ((seed * 31 + index) * 0x9e3779b97f4a7c15L >>> 44);
  }

  private static int lengthOf(long seed) {
    return 5 + (int) (Math.abs(seed * 7919) % 60);
  }

  /** A node that does as nodes do, until it is made not to. */
  private final class Node implements Link {
    final int index;
    final long stepNanos = (10 + random.nextInt(30)) * MS;
    final Map<Long, FromGateway.Generate> jobs = new HashMap<>();
    final Set<Long> paused = new HashSet<>();
    Grid.Session session;
    int life;
    boolean connected;
    boolean frozen;
    boolean silent;
    boolean resting;

    /** Claims what no machine can do, and says all of an answer at once. */
    boolean boasts;

    /** Says of every request that it is wrong. */
    boolean refuses;

    String build = "b";
    int prompt = 10;
    long said;
    FromGateway.Refused refused;
    final List<Runnable> held = new ArrayList<>();

    Node(int index) {
      this.index = index;
    }

    void connect() {
      life++;
      jobs.clear();
      held.clear();
      connected = true;
      session = grid.connected(this);
      say(
          new FromNode.Hello(
              Protocol.VERSION,
              "0x%040x".formatted(index),
              "0x%02x".formatted(index) + "00".repeat(64),
              "",
              "",
              "",
              "",
              1L << 30,
              1L << 30,
              boasts ? 64 : SLOTS,
              100));
      after(
          50 * MS,
          () -> {
            say(
                new FromNode.Serving(
                    MODEL.hash(),
                    WEIGHTS.sha256(),
                    build,
                    true,
                    boasts ? 64 : SLOTS,
                    1024,
                    1000,
                    boasts ? 1_000_000 : (int) (1e9 / stepNanos)));
            say(new FromNode.Status(true, "", 0, 1L << 30));
          });
    }

    /** Through the network, as bytes would. */
    void say(FromNode message) {
      int mine = life;
      after(
          boasts ? ++said : (2 + random.nextInt(5)) * MS,
          () -> {
            if (mine == life && connected && !silent) {
              try {
                session.hear(Codec.fromNode(Codec.write(message)));
              } catch (Codec.MalformedMessageException e) {
                throw new AssertionError(e);
              }
            }
          });
    }

    @Override
    public void send(FromGateway message) {
      if (message instanceof FromGateway.Refused r) {
        refused = r; // the connection ends with it
      }
      int mine = life;
      after(
          (2 + random.nextInt(5)) * MS,
          () -> {
            if (mine == life && connected && !silent) {
              whenAwake(() -> hear(message));
            }
          });
    }

    private void whenAwake(Runnable what) {
      if (frozen) {
        held.add(what);
      } else {
        what.run();
      }
    }

    private void hear(FromGateway message) {
      switch (message) {
        case FromGateway.Ping ping -> say(new FromNode.Pong(ping.nanos()));
        case FromGateway.Generate g -> {
          if (refuses) {
            EngineFailure.Code code = EngineFailure.Code.INVALID_MESSAGES;
            say(new FromNode.Failed(g.job(), code, "no", false));
          } else if (resting || jobs.size() >= (boasts ? 64 : SLOTS)) {
            EngineFailure.Code code =
                resting ? EngineFailure.Code.UNAVAILABLE : EngineFailure.Code.OVERLOADED;
            say(new FromNode.Failed(g.job(), code, "no", resting));
          } else {
            jobs.put(g.job(), g);
            say(new FromNode.Started(g.job(), prompt));
            step(g.job(), g.said().size(), life);
          }
        }
        case FromGateway.Cancel c -> jobs.remove(c.job());
        default -> {}
      }
    }

    private void step(long job, int at, int mine) {
      after(
          boasts ? 1 : stepNanos,
          () -> {
            if (mine == life) {
              whenAwake(() -> speak(job, at, mine));
            }
          });
    }

    private void speak(long job, int at, int mine) {
      FromGateway.Generate g = jobs.get(job);
      if (g == null || mine != life) {
        return;
      }
      long seed = g.sampling().seed();
      int end = Math.min(g.max(), lengthOf(seed));
      if (at >= end) {
        jobs.remove(job);
        say(new FromNode.Ended(job, end == g.max() ? EndReason.LENGTH : EndReason.STOP, 10, end));
        return;
      }
      int token = token(seed, at);
      say(new FromNode.Text(job, token + " ", List.of(token), at + 1));
      step(job, at + 1, mine);
    }

    @Override
    public void close(String why) {
      if (connected) {
        connected = false;
        int mine = life;
        after(5 * MS, session::closed);
        after(500 * MS, () -> reconnect(mine));
      }
    }

    private void reconnect(int mine) {
      if (mine == life && !connected) {
        connect();
      }
    }

    void trouble() {
      if (!connected || frozen || silent || resting) {
        return;
      }
      int mine = life;
      long length = (500 + random.nextInt(6_000)) * MS;
      switch (random.nextInt(5)) {
        case 0 -> {
          count("killed");
          connected = false;
          life++;
          session.closed();
          int dead = life;
          after(length, () -> reconnect(dead));
        }
        case 1 -> {
          count("frozen");
          frozen = true;
          after(
              length,
              () -> {
                frozen = false;
                List<Runnable> all = List.copyOf(held);
                held.clear();
                all.forEach(Runnable::run);
              });
        }
        case 2 -> {
          count("cut off"); // what is said meanwhile is lost, and the connection with it
          silent = true;
          after(
              length,
              () -> {
                silent = false;
                if (mine == life && connected) {
                  close("reset");
                }
              });
        }
        case 3 -> {
          count("given back");
          resting = true;
          say(new FromNode.Status(false, "owner", 0, 1));
          jobs.keySet()
              .forEach(j -> say(new FromNode.Failed(j, EngineFailure.Code.UNAVAILABLE, "", true)));
          jobs.clear();
          after(
              length,
              () -> {
                resting = false;
                say(new FromNode.Status(true, "", jobs.size(), 1));
              });
        }
        default -> {
          count("lied");
          jobs.keySet().stream()
              .findFirst()
              .ifPresent(j -> say(new FromNode.Text(j, "lie", List.of(1, 2, 3), 1)));
        }
      }
    }

    private void count(String kind) {
      troubles.merge(kind, 1, Integer::sum);
    }
  }

  /** What a client hears. */
  private static final class Client implements Engine.Listener {
    final long seed;
    final List<Integer> tokens = new ArrayList<>();
    final StringBuilder text = new StringBuilder();
    final Set<String> nodes = new HashSet<>();
    int started;
    int prompt;
    String end = "";

    Client(long seed) {
      this.seed = seed;
    }

    @Override
    public void by(String node) {
      nodes.add(node);
    }

    @Override
    public void started(int promptTokens) {
      started++;
      prompt = promptTokens;
    }

    @Override
    public void text(String piece, List<Integer> newTokens, int completionTokens) {
      assertThat(end).isEmpty();
      tokens.addAll(newTokens);
      text.append(piece);
      assertThat(completionTokens).isEqualTo(tokens.size());
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      assertThat(end).isEmpty();
      assertThat(completionTokens).isEqualTo(tokens.size());
      end = reason.name();
    }

    @Override
    public void failed(EngineFailure failure) {
      assertThat(end).isEmpty();
      end = "failed " + failure.message();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void everyAnswerIsWholeWhateverHappensToNodes(long seed) throws Exception {
    random = new Random(seed);
    grid = newGrid();
    for (int i = 1; i <= NODES; i++) {
      Node node = new Node(i);
      nodes.add(node);
      node.connect();
    }
    tick();
    trouble();
    List<Client> clients = new ArrayList<>();
    for (int i = 0; i < ANSWERS; i++) {
      Client client = new Client(random.nextInt(1_000_000));
      clients.add(client);
      after(2_000 * MS + i * 25 * MS, () -> ask(client));
    }
    long end = 2_000 * MS + ANSWERS * 25 * MS + 200_000 * MS;
    runUntil(end);
    check(clients);
    System.out.printf(
        "%d answers, %d on more than one node; nodes were %s%n",
        clients.size(), clients.stream().filter(c -> c.nodes.size() > 1).count(), troubles);
    assertThat(clients.stream().filter(c -> c.nodes.size() > 1).count()).isGreaterThan(10);
  }

  private void runUntil(long end) {
    while (!events.isEmpty() && events.peek().time() < end) {
      At next = events.remove();
      now = next.time();
      next.what().run();
    }
  }

  /** A node that comes alone, and a client whose answer it has begun. */
  private Client begunByOne() {
    random = new Random(1);
    grid = newGrid();
    Node only = new Node(1);
    nodes.add(only);
    only.connect();
    tick();
    Client client = new Client(5);
    after(1_000 * MS, () -> ask(client));
    runUntil(now + 1_150 * MS);
    assertThat(client.tokens).isNotEmpty();
    assertThat(client.end).isEmpty();
    only.connected = false;
    only.life++;
    only.session.closed();
    return client;
  }

  @Test
  void whereTheLastNodeIsGoneAnAnswerWaitsUntilItIsBack() {
    Client client = begunByOne();
    runUntil(now + 30_000 * MS);
    assertThat(client.end).isEmpty();
    assertThat(grid.groups()).as("its group waits with it").hasSize(1);
    nodes.getFirst().connect();
    runUntil(now + 20_000 * MS);
    check(List.of(client));
    assertThat(grid.groups()).hasSize(1);
  }

  @Test
  void whereNobodyComesBackTheClientIsToldAndNothingIsLeft() {
    Client client = begunByOne();
    Client late = new Client(60);
    ask(late); // nobody is there to take it
    runUntil(now + 61_000 * MS);
    assertThat(client.end).contains("no node answers for this model now");
    assertThat(late.tokens).isEmpty();
    assertThat(grid.answering()).isZero();
    assertThat(grid.groups()).isEmpty();
  }

  /** Starts anew with nodes that are as they are made to be. */
  private void come(Consumer<Node> how, int count) {
    for (int i = 0; i < count; i++) {
      Node node = new Node(nodes.size() + 1);
      how.accept(node);
      nodes.add(node);
      node.connect();
    }
  }

  private List<Client> askMany(int count, long everyMs) {
    List<Client> clients = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Client client = new Client(random.nextInt(1_000_000));
      clients.add(client);
      after(1_000 * MS + i * everyMs * MS, () -> ask(client));
    }
    runUntil(now + (1_000 + count * everyMs + 60_000) * MS);
    return clients;
  }

  @Test
  void aNodeThatClaimsTheWorldAndAnswersAtOnceGetsNoMoreThanAnother() {
    random = new Random(3);
    grid = newGrid();
    come(n -> {}, NODES);
    come(n -> n.boasts = true, 1);
    tick();
    List<Client> clients = askMany(1_200, 150);
    check(clients);
    String boaster = "0x%040x".formatted(NODES + 1);
    long won = clients.stream().filter(c -> c.nodes.contains(boaster)).count();
    System.out.printf("the boaster got %d of %d%n", won, clients.size());
    assertThat(won).isBetween(1L, 1_200L * 2 / (NODES + 1));
  }

  @Test
  void aBuildThatIsNotKnownIsRefusedAndMakesNoGroup() {
    random = new Random(4);
    grid = newGrid();
    come(n -> n.build = "x", 1);
    runUntil(now + 300 * MS);
    assertThat(grid.groups()).isEmpty();
    assertThat(nodes.getFirst().refused.code()).isEqualTo("build_unknown");
    assertThat(nodes.getFirst().refused.message()).contains("x").contains("grid.builds");
  }

  @Test
  void beforeItsFirstTokenAnAnswerGoesOnWithAnotherBuild() {
    random = new Random(5);
    grid = newGrid();
    come(n -> {}, 1);
    come(n -> n.build = "c", 1);
    tick();
    runUntil(now + 1_000 * MS);
    Group first =
        grid.groups().stream().filter(g -> g.key().build().equals("b")).findAny().orElseThrow();
    nodes.getFirst().frozen = true; // it takes the request, and says nothing
    Client client = new Client(5);
    ask(client, first);
    runUntil(now + 100 * MS);
    Node only = nodes.getFirst();
    only.connected = false;
    only.life++;
    only.session.closed();
    runUntil(now + 20_000 * MS);
    check(List.of(client));
    assertThat(grid.groups()).as("the one without nodes is gone").hasSize(1);
  }

  @Test
  void oneNodesRefusalIsNotBelievedAlone() {
    random = new Random(6);
    grid = newGrid();
    come(n -> {}, 3);
    come(n -> n.refuses = true, 1);
    tick();
    check(askMany(200, 150));
  }

  @Test
  void aPromptIsAsLongAsTheGatewayCountsItWhateverANodeClaims() {
    random = new Random(7);
    counters = Map.of(MODEL.hash(), turns -> 7);
    grid = newGrid();
    come(n -> n.prompt = 400, 3);
    tick();
    List<Client> clients = askMany(50, 100);
    check(clients);
    assertThat(clients).allMatch(c -> c.prompt == 7);
    assertThat(work).allMatch(w -> w.work().prefillTokens() < 7 + 60);
  }

  private void tick() {
    grid.tick();
    after(Grid.TICK_MS * MS, this::tick);
  }

  private void trouble() {
    nodes.get(random.nextInt(NODES)).trouble();
    after((300 + random.nextInt(1_200)) * MS, this::trouble);
  }

  private void ask(Client client) {
    try {
      ask(client, grid.groups().iterator().next());
    } catch (java.util.NoSuchElementException e) {
      after(100 * MS, () -> ask(client));
    }
  }

  private void ask(Client client, Group group) {
    try {
      Engine.Generation unused =
          group.generate(
              new Ask(
                  List.of(new Turn("user", "q" + client.seed % 50)),
                  new Sampling(1, 0, 1, 0, client.seed, List.of()),
                  40),
              client);
    } catch (Engine.EngineException e) {
      after(100 * MS, () -> ask(client));
    }
  }

  private void check(List<Client> clients) {
    long heard = 0;
    for (Client client : clients) {
      int length = Math.min(40, lengthOf(client.seed));
      assertThat(client.end).as("seed " + client.seed).isIn("STOP", "LENGTH");
      assertThat(client.tokens).hasSize(length);
      for (int i = 0; i < length; i++) {
        assertThat(client.tokens.get(i)).isEqualTo(token(client.seed, i));
      }
      assertThat(client.text.toString().split(" ")).hasSize(length);
      assertThat(client.started).isEqualTo(1);
      heard += length;
    }
    assertThat(grid.answering()).isZero();
    assertThat(work.stream().mapToLong(w -> w.work().decodeTokens()).sum())
        .as("each token is paid once")
        .isEqualTo(heard);
    assertThat(work.stream().map(WorkDone::id).distinct().count()).isEqualTo(work.size());
  }
}
