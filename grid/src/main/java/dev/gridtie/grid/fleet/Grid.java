package dev.gridtie.grid.fleet;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.grid.dispatch.Dispatcher;
import dev.gridtie.grid.dispatch.Slot;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.grid.model.Variant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The nodes that have joined a gateway. Safe for use by many threads; {@link #tick} is to be called
 * every {@value #TICK_MS} ms.
 */
public final class Grid {
  public static final int TICK_MS = 25;

  /** How many nodes one gateway holds. */
  public static final int NODES_MAX = 20_000;

  /** How many requests wait for the nodes of one group. */
  private static final int WAITING_MAX = 4_096;

  /** One in twenty answers, and a few to begin with, may be asked of a second node. */
  private static final int HEDGE_PERCENT = 5;

  private static final int HEDGES_FREE = 5;

  /** What nodes with a server of their own are: nothing goes on from what those have said. */
  private static final String SERVER_BUILD = "server";

  private final Config config;
  private final LongSupplier nanos;
  private final RandomGenerator random;
  private final Executor executor;
  private final String run;
  private final Map<String, Member> members = new ConcurrentHashMap<>();
  private final Map<Group.Key, Group> groups = new ConcurrentHashMap<>();
  private final Set<Answering> answering = ConcurrentHashMap.newKeySet();
  private final AtomicLong jobs = new AtomicLong();
  private final AtomicLong asked = new AtomicLong();
  private final AtomicLong hedged = new AtomicLong();
  private long pingedAt;

  /**
   * What a grid works with.
   *
   * @param gateway its public key, as nodes are told it
   * @param models that nodes are asked to serve
   * @param builds of engines with our sampler that may answer: a node of another is refused, or any
   *     word would make a group of its own
   * @param counters count prompts without asking a node, by the manifest's hash, where the model's
   *     file is here
   * @param recovery says who signed
   * @param work hears what was done, on whatever thread; must not block
   * @param changed runs where models or nodes have come or gone
   * @param events hears what happens; must not block
   */
  public record Config(
      String gateway,
      List<Offered> models,
      Set<String> builds,
      Map<String, Counter> counters,
      Admission admission,
      Identity.Recovery recovery,
      Consumer<WorkDone> work,
      Runnable changed,
      Consumer<GridEvent> events) {
    public Config {
      models = List.copyOf(models);
      builds = Set.copyOf(builds);
      counters = Map.copyOf(counters);
    }

    List<FromGateway.Offer.Wanted> wantedOf(String pool) {
      return Grid.wantedOf(models, pool);
    }
  }

  /** What the nodes of a pool are asked to serve: its own models first, and everybody's. */
  private static List<FromGateway.Offer.Wanted> wantedOf(List<Offered> models, String pool) {
    return models.stream()
        .filter(m -> m.isFor(pool))
        .sorted(Comparator.comparing((Offered m) -> m.pool().isEmpty()))
        .map(Offered::wanted)
        .toList();
  }

  /**
   * Makes sure that what is offered can be told to a node.
   *
   * @throws IllegalArgumentException where it is more than a node takes in one message
   */
  public static void requireFits(List<Offered> models) {
    for (String pool : models.stream().map(Offered::pool).distinct().toList()) {
      int bytes = Codec.write(new FromGateway.Offer(wantedOf(models, pool))).length(); // ASCII
      if (bytes > Protocol.FROM_GATEWAY_BYTES_MAX) {
        throw new IllegalArgumentException(
            "what a node is told of its models comes to "
                + Math.ceilDiv(bytes, 1 << 20)
                + " MiB, and it takes "
                + (Protocol.FROM_GATEWAY_BYTES_MAX >> 20)
                + ": offer fewer models or fewer variants of them");
      }
    }
  }

  /**
   * A model that nodes are asked to serve.
   *
   * @param pool whose members alone may know of it; empty for all
   * @param hash of its manifest, computed once: it covers every piece of every file
   */
  public record Offered(String pool, FromGateway.Offer.Wanted wanted, String hash) {
    public Offered(String pool, FromGateway.Offer.Wanted wanted) {
      this(pool, wanted, wanted.manifest().hash());
    }

    boolean isFor(String members) {
      return pool.isEmpty() || pool.equals(members);
    }
  }

  /**
   * @param executor for what may block, or must not run where it arises
   */
  public Grid(Config config, LongSupplier nanos, RandomGenerator random, Executor executor) {
    this.config = config;
    this.nanos = nanos;
    this.random = random;
    this.executor = executor;
    this.run = Ids.random("", random);
    this.pingedAt = nanos.getAsLong();
  }

  long now() {
    return nanos.getAsLong();
  }

  /** Names this run of the gateway: jobs are numbered anew in each. */
  String run() {
    return run;
  }

  long newJob() {
    return jobs.incrementAndGet();
  }

  @Nullable Member member(String address) {
    return members.get(address);
  }

  void later(Runnable what) {
    executor.execute(what);
  }

  void began(Answering one, Group group) {
    asked.incrementAndGet();
    group.began();
    answering.add(one);
  }

  void ended(Answering one, Group group) {
    if (answering.remove(one)) {
      group.ended();
      if (group.isDone()) {
        later(() -> dropIfDone(group));
      }
    }
  }

  /** An answer goes on with another group's nodes. */
  void moved(Group from, Group to) {
    to.began();
    from.ended();
    if (from.isDone()) {
      later(() -> dropIfDone(from));
    }
  }

  private synchronized void dropIfDone(Group group) {
    if (group.isDone()) {
      groups.remove(group.key(), group);
    }
  }

  boolean mayHedge() {
    return hedged.get() <= HEDGES_FREE + asked.get() * HEDGE_PERCENT / 100;
  }

  void hedged() {
    hedged.incrementAndGet();
  }

  void work(WorkDone done) {
    config.work().accept(done);
  }

  void answered(Member member, int tokens) {
    config.events().accept(new GridEvent("answered", member.address(), member.pool(), "", tokens));
  }

  void lost(Member member) {
    config.events().accept(new GridEvent("lost", member.address(), member.pool(), "", 0));
  }

  /** It broke the rules: it is cut off, and others go on. */
  void misbehaved(Member member, String how) {
    later(
        () -> {
          member.link().close(how);
          gone(member);
        });
  }

  // Connections

  /** A connection from its challenge to its end. Called by one thread at a time. */
  public final class Session {
    private final Link link;
    private final String nonce;
    private final long since = now();
    private volatile @Nullable Member member;
    private boolean greeted;

    private Session(Link link) {
      this.link = link;
      byte[] bytes = new byte[32];
      random.nextBytes(bytes);
      this.nonce = Hex.encode(bytes);
      link.send(new FromGateway.Challenge(Protocol.VERSION, nonce, config.gateway()));
    }

    /** Whether it has not said in time who it is. */
    public boolean isLate() {
      return member == null && now() - since > Protocol.HELLO_MS_MAX * 1_000_000L;
    }

    /** Whether the node has said who it is, and may stay. */
    public boolean isAdmitted() {
      return member != null;
    }

    /** Hears what the node says. What it may not say ends the connection. */
    public void hear(FromNode message) {
      Member from = member;
      if (from == null) {
        if (!(message instanceof FromNode.Hello hello) || greeted) {
          link.close("a node says first who it is");
          return;
        }
        greeted = true;
        later(() -> greet(hello));
        return;
      }
      from.heard();
      Grid.this.hear(from, message);
    }

    private void greet(FromNode.Hello hello) {
      Optional<FromGateway.Refused> wrong = wrong(hello);
      if (wrong.isPresent()) {
        link.send(wrong.get());
        link.close(wrong.get().message());
        return;
      }
      switch (config.admission().decide(hello)) {
        case Admission.Decision.Refused refused -> {
          link.send(new FromGateway.Refused(refused.code(), refused.message()));
          link.close(refused.message());
        }
        case Admission.Decision.Admitted admitted -> {
          Member joined =
              new Member(
                  hello,
                  admitted.pool(),
                  admitted.vouched(),
                  Ids.random("files-", random),
                  link,
                  nanos);
          Member before = members.put(hello.address(), joined);
          if (before != null) {
            before.link().close("this node has connected anew");
            gone(before);
          }
          member = joined;
          link.send(
              new FromGateway.Welcome(admitted.pool(), admitted.vouched(), joined.fileToken()));
          link.send(new FromGateway.Offer(config.wantedOf(admitted.pool())));
          config
              .events()
              .accept(
                  new GridEvent("joined", hello.address(), admitted.pool(), hello.hardware(), 0));
          config.changed().run();
        }
      }
    }

    private Optional<FromGateway.Refused> wrong(FromNode.Hello hello) {
      if (hello.version() != Protocol.VERSION) {
        return Optional.of(
            new FromGateway.Refused(
                "version",
                "this gateway speaks version "
                    + Protocol.VERSION
                    + " of the protocol, the node "
                    + hello.version()
                    + ": update the older one"));
      }
      if (members.size() >= NODES_MAX) {
        return Optional.of(
            new FromGateway.Refused("full", "this gateway has as many nodes as it can hold"));
      }
      byte[] digest =
          Identity.statement(config.gateway(), nonce, hello.address(), hello.invitation());
      try {
        String signer = config.recovery().signer(digest, Hex.decode(hello.signature(), 65));
        if (signer.equals(hello.address())) {
          return Optional.empty();
        }
      } catch (IllegalArgumentException e) {
        // Said below.
      }
      return Optional.of(
          new FromGateway.Refused("signature", "the signature is not of this address's key"));
    }

    /** The connection has ended. */
    public void closed() {
      Member from = member;
      if (from != null) {
        gone(from);
      }
    }
  }

  /** A node has connected. */
  public Session connected(Link link) {
    return new Session(link);
  }

  private void hear(Member from, FromNode message) {
    Slot slot = from.slot();
    Group group = from.group();
    if (slot != null && group != null) {
      group.dispatcher().heard(slot);
    }
    switch (message) {
      case FromNode.Hello ignored -> misbehaved(from, "it has said before who it is");
      case FromNode.Serving serving -> serves(from, serving);
      case FromNode.Status status -> {
        from.status(status);
        if (slot != null && group != null) {
          group.dispatcher().status(slot, status.accepting(), status.active());
        }
        config
            .events()
            .accept(new GridEvent("status", from.address(), from.pool(), status.why(), 0));
      }
      case FromNode.Pong pong -> {
        long trip = now() - pong.nanos();
        if (slot != null && group != null && from.wasPinged(pong.nanos())) {
          group.dispatcher().roundTrip(slot, trip);
        }
      }
      case FromNode.Started m -> leg(from, m.job(), m);
      case FromNode.Text m -> leg(from, m.job(), m);
      case FromNode.Ended m -> leg(from, m.job(), m);
      case FromNode.Failed m -> {
        if (!from.answered(m.job(), m)) {
          leg(from, m.job(), m);
        }
      }
      case FromNode.Counted m -> from.answered(m.job(), m);
      case FromNode.Embedded m -> from.answered(m.job(), m);
      case FromNode.Chunk m -> from.answered(m.job(), m);
    }
  }

  /** A node speaks of its own jobs alone; what it says of others nobody hears. */
  private static void leg(Member from, long job, FromNode message) {
    Answering.Leg leg = from.legs().get(job);
    if (leg != null) {
      leg.hear(message);
    }
  }

  private void serves(Member member, FromNode.Serving serving) {
    synchronized (this) {
      leaveGroup(member);
      if (serving.slots() == 0 || member.isGone()) {
        member.serves(FromNode.Serving.NOTHING, null, null);
      } else {
        Optional<FromGateway.Offer.Wanted> wanted =
            config.models().stream()
                .filter(m -> m.isFor(member.pool()) && m.hash().equals(serving.manifest()))
                .map(Offered::wanted)
                .findFirst();
        Optional<Variant> variant = wanted.flatMap(w -> w.manifest().variant(serving.file()));
        if (variant.isEmpty()
            || serving.slots() > member.hello().slots()
            || serving.contextTokens() < contextTokens(wanted.orElseThrow())) {
          misbehaved(member, "it serves what nobody has asked of it");
          return;
        }
        String build = serving.sampled() ? serving.build() : SERVER_BUILD;
        if (serving.sampled() && !config.builds().contains(build)) {
          refuse(member, unknownBuild(build));
          return;
        }
        Group.Key key =
            new Group.Key(
                serving.manifest(),
                serving.file(),
                build,
                serving.sampled(),
                member.pool(),
                member.region());
        FromGateway.Offer.Wanted model = wanted.orElseThrow();
        Group group =
            groups.computeIfAbsent(
                key,
                k ->
                    new Group(
                        k,
                        model.manifest(),
                        contextTokens(model),
                        variant.get(),
                        config.counters().get(k.manifest()),
                        this,
                        newDispatcher()));
        Slot slot =
            new Slot(
                member.address(), serving.slots(), serving.decodeTps(), member.vouched(), now());
        member.serves(serving, slot, group);
        group.add(member);
        group.dispatcher().join(slot);
        group.dispatcher().status(slot, member.status().accepting(), member.status().active());
      }
    }
    config
        .events()
        .accept(
            new GridEvent(
                "serving", member.address(), member.pool(), serving.file(), serving.slots()));
    config.changed().run();
  }

  /** What an answer is sure to have room for: as was asked, or as the model was trained for. */
  private static int contextTokens(FromGateway.Offer.Wanted wanted) {
    return Math.min(wanted.contextTokens(), wanted.manifest().contextTokens());
  }

  private FromGateway.Refused unknownBuild(String build) {
    return new FromGateway.Refused(
        "build_unknown",
        "this gateway does not know the engine build "
            + build
            + ", and takes "
            + String.join(", ", config.builds().stream().sorted().toList())
            + ": update the node or the gateway, or have its operator name the build in"
            + " grid.builds");
  }

  /** It did nothing wrong, but cannot be taken as it is. */
  private void refuse(Member member, FromGateway.Refused why) {
    member.send(why);
    misbehaved(member, why.message());
  }

  /**
   * A group whose nodes have the same weights in the same pool and region, for an answer that was
   * not begun: where no token was said, another build says as good an answer.
   */
  Optional<Group> beside(Group group) {
    return groups.values().stream()
        .filter(g -> g != group && g.key().isBeside(group.key()) && g.isReady())
        .findAny();
  }

  private Dispatcher newDispatcher() {
    return new Dispatcher(nanos, random, WAITING_MAX, Protocol.QUIET_MS_MAX * 1_000_000L);
  }

  private void leaveGroup(Member member) {
    Group group = member.group();
    Slot slot = member.slot();
    if (group != null && slot != null) {
      group.remove(member);
      group.dispatcher().leave(slot);
      dropIfDone(group);
    }
  }

  private void gone(Member member) {
    synchronized (this) {
      if (member.isGone()) {
        return;
      }
      member.gone();
      members.remove(member.address(), member);
      leaveGroup(member);
    }
    member.failExpected();
    List.copyOf(member.legs().values()).forEach(Answering.Leg::vanished);
    config.events().accept(new GridEvent("left", member.address(), member.pool(), "", 0));
    config.changed().run();
  }

  /** Looks at the time. */
  public void tick() {
    long now = now();
    groups.values().forEach(g -> g.dispatcher().tick());
    answering.forEach(a -> a.check(now));
    if (now - pingedAt < Protocol.PING_EVERY_MS * 1_000_000L) {
      return;
    }
    pingedAt = now;
    for (Member member : members.values()) {
      if (member.silentNanos() > Protocol.SILENT_MS_MAX * 1_000_000L) {
        misbehaved(member, "it has said nothing for too long");
      } else {
        member.ping(now);
      }
    }
  }

  /** Lets members go whom their pool has put out; may block. */
  public void reviewMembers() {
    for (Member member : members.values()) {
      if (!config.admission().stillMember(member.pool(), member.address())) {
        member.link().send(new FromGateway.Refused("revoked", "the invitation was revoked"));
        misbehaved(member, "its invitation was revoked");
      }
    }
  }

  /** A node was paid for something. */
  public void paid(String address, long job, long micro, boolean pending) {
    Member member = members.get(address);
    if (member != null) {
      member.micro.addAndGet(micro);
      member.send(new FromGateway.Paid(job, micro, pending));
    }
  }

  // Files that one node has and another needs

  /**
   * Asks a node of a pool for a part of a file that it serves.
   *
   * @param pool whose members may be asked: never another's
   * @return base64 of the bytes; fails where nobody has it
   */
  public CompletableFuture<String> part(String pool, String file, long offset, int length) {
    List<Member> have =
        members.values().stream()
            .filter(m -> m.pool().equals(pool) && m.serving().file().equals(file) && m.isWell())
            .toList();
    CompletableFuture<String> bytes = new CompletableFuture<>();
    if (have.isEmpty()) {
      bytes.completeExceptionally(new IllegalStateException("nobody has the file"));
      return bytes;
    }
    Member member = have.get(random.nextInt(have.size()));
    long job = newJob();
    CompletableFuture<FromNode> answer = new CompletableFuture<>();
    member.expect(job, answer);
    member.send(new FromGateway.Want(job, file, offset, length));
    return answer
        .orTimeout(Protocol.HELLO_MS_MAX, java.util.concurrent.TimeUnit.MILLISECONDS)
        .whenComplete((a, e) -> member.forget(job))
        .thenApply(
            a -> {
              if (a instanceof FromNode.Chunk chunk && !chunk.base64().isEmpty()) {
                return chunk.base64();
              }
              throw new IllegalStateException("the node has not got it any more");
            });
  }

  // For those who look on

  public Collection<Group> groups() {
    return List.copyOf(groups.values());
  }

  /** The pool of the node that was given this token for files; empty where none was. */
  public Optional<String> poolOfToken(String token) {
    return members.values().stream()
        .filter(m -> m.fileToken().equals(token))
        .map(Member::pool)
        .findAny();
  }

  /** A file that the nodes of a pool may have, and its model. */
  public Optional<Variant> file(String pool, String sha256) {
    return config.wantedOf(pool).stream()
        .flatMap(w -> w.manifest().variant(sha256).stream())
        .findFirst();
  }

  /** Answers under way. */
  public int answering() {
    return answering.size();
  }

  /**
   * A node as others see it.
   *
   * @param model empty where it serves none
   * @param why it takes no work; empty where it does
   * @param micro earned since it joined, micro-credits
   */
  public record NodeView(
      String address,
      String name,
      String pool,
      String region,
      String hardware,
      String model,
      String quantization,
      int slots,
      int running,
      boolean accepting,
      String why,
      double reliability,
      double roundTripMs,
      int decodeTps,
      long answers,
      long tokens,
      long lost,
      long micro) {}

  public List<NodeView> nodes() {
    List<NodeView> views = new ArrayList<>();
    for (Member m : members.values()) {
      Slot slot = m.slot();
      Group group = m.group();
      views.add(
          new NodeView(
              m.address(),
              m.hello().name(),
              m.pool(),
              m.region(),
              m.hello().hardware(),
              group == null ? "" : group.manifest().id(),
              group == null ? "" : group.variant().quantization(),
              slot == null ? 0 : slot.slots(),
              slot == null ? 0 : slot.running(),
              m.isWell(),
              m.isWell() ? "" : slot == null ? "serves nothing" : m.status().why(),
              slot == null ? 0 : slot.reliability(),
              slot == null ? 0 : slot.roundTripNanos() / 1e6,
              slot == null ? 0 : slot.tokensPerSecond(),
              m.answers.get(),
              m.tokens.get(),
              m.lost.get(),
              m.micro.get()));
    }
    return views;
  }
}
