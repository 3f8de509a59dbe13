package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Device;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.grid.model.Fit;
import dev.gridtie.grid.model.Manifest;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The machine's side of the grid. One thread, the steward, looks every {@value #LOOK_MS} ms whether
 * the owner needs the machine, and starts and ends what runs; answers go from the engine to the
 * gateways on the threads they come on.
 */
public final class NodeAgent implements AutoCloseable {
  /** How often the steward looks. The owner has the machine back within 2 s. */
  static final int LOOK_MS = 250;

  /** A twentieth of memory stays free, or so much. */
  private static final int RESERVE_PART = 20;

  static final long RESERVE_BYTES_MAX = 1L << 30;

  private static final int STATUS_EVERY_LOOKS = 4;
  private static final int MEMORY_EVERY_LOOKS = 8;

  /** After something went wrong with an engine or a file, it is tried again so much later. */
  private static final long RETRY_NANOS = 5_000_000_000L;

  /** Of what is free of a graphics processor's memory: its driver needs some, too. */
  private static final int GRAPHICS_PERCENT = 95;

  private final NodeConfig config;
  private final Identity identity;
  private final Hardware hardware;
  private final Signs signs;
  private final Owner owner;
  private final Optional<PowerMeter> meter;
  private final ModelFiles files;
  private final Work work;
  private final HttpClient http;
  private final InstantSource clock;
  private final Consumer<NodeStatus> status;
  private final List<Uplink> uplinks = new ArrayList<>();
  private final Speeds speeds;
  private final AtomicLong yields = new AtomicLong();
  private final AtomicLong released = new AtomicLong();
  private final AtomicLong pending = new AtomicLong();
  private final Map<Uplink, Announced> announced = new HashMap<>();
  private volatile @Nullable Thread preparing;
  private volatile String state = "waiting";
  private volatile String why = "";
  private volatile long fetched;
  private volatile long fetching;
  private volatile long retryAt;
  private volatile boolean closed;
  private volatile double watts = -1;
  private final AtomicBoolean measuring = new AtomicBoolean();
  private final Thread steward;
  private long tokensBefore;
  private long tokensAt = System.nanoTime();
  private double rate;

  /**
   * Starts contributing.
   *
   * @param status hears what the node is doing, about once a second
   */
  public NodeAgent(
      Vertx vertx,
      NodeConfig config,
      Identity identity,
      Hardware hardware,
      HostFiles host,
      Signs signs,
      Owner owner,
      HttpClient http,
      InstantSource clock,
      RandomGenerator random,
      Consumer<NodeStatus> status) {
    this.config = config;
    this.identity = identity;
    this.hardware = hardware;
    this.signs = signs;
    this.owner = owner;
    this.http = http;
    this.clock = clock;
    this.status = status;
    this.speeds = new Speeds(config.models().resolve("speeds.json"));
    this.meter = PowerMeter.of(host, hardware.gpuKind());
    this.files =
        new ModelFiles(
            config.models(),
            config.caps().diskBytes(),
            Bandwidth.of(config.caps().bytesPerSecond()),
            http,
            clock);
    this.work = new Work(files);
    for (URI gateway : config.gateways()) {
      uplinks.add(new Uplink(vertx, gateway, identity, new Ears(), random));
    }
    uplinks.forEach(Uplink::connect);
    this.steward = Thread.ofPlatform().daemon(true).name("steward").start(this::watch);
  }

  /** Whether no gateway will have this node: then there is nothing to wait for. */
  public Optional<String> refused() {
    return uplinks.stream().allMatch(Uplink::isRefused)
        ? Optional.of(uplinks.getFirst().why())
        : Optional.empty();
  }

  // The steward

  private void watch() {
    for (long looks = 0; !closed; looks++) {
      try {
        Thread.sleep(LOOK_MS);
        look(looks);
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        System.err.println("gridtie: looking after the node: " + e);
      }
    }
  }

  private void look(long looks) {
    Optional<String> objection = owner.objects();
    if (objection.isPresent()) {
      giveBack(objection.get());
    } else if (work.served() == null && preparing == null && System.nanoTime() >= retryAt) {
      prepare();
    } else if (looks % MEMORY_EVERY_LOOKS == 0) {
      reviewMemory();
    }
    if (looks % STATUS_EVERY_LOOKS == 0) {
      watchPower();
      tell();
    }
    announce();
  }

  /** The owner comes first: everything that runs ends now, and others go on with it. */
  private void giveBack(String reason) {
    Thread fetchingOrStarting = preparing;
    if (fetchingOrStarting != null) {
      fetchingOrStarting.interrupt();
    }
    state = "resting";
    why = reason;
    if (work.served() == null) {
      return;
    }
    yields.incrementAndGet();
    endAll(reason);
    tell();
  }

  private void endAll(String reason) {
    for (Uplink uplink : uplinks) {
      uplink.send(new FromNode.Status(false, reason, 0, memory()));
    }
    boolean unused = work.giveBack(reason);
  }

  /**
   * Memory that may be used now: what the engine has, and what is free but for a reserve, so that
   * the owner's programs have room to grow.
   */
  private long memory() {
    long cap = config.caps().memoryBytes();
    if (hardware.gpuBytes() > 0) {
      return cap;
    }
    Served now = work.served();
    long own = now == null ? 0 : now.fit().bytes();
    long reserve = Math.min(RESERVE_BYTES_MAX, hardware.memoryBytes() / RESERVE_PART);
    return signs
        .availableMemory()
        .map(free -> Math.clamp(free + own - reserve, 0, cap))
        .orElse(cap);
  }

  /** Memory has shrunk: something smaller takes the place of what runs. */
  private void reviewMemory() {
    Served now = work.served();
    if (now != null && now.engine() instanceof Engine own) {
      if (memory() < now.fit().bytes()) {
        state = "waiting";
        why = "memory has become less; a smaller variant takes over";
        endAll(why);
      } else if (!own.isReady()) {
        announceStatus(false, short120(own.why()));
      }
    }
  }

  /** Beside the steward, for a driver may take long to say. */
  private void watchPower() {
    if (meter.isPresent() && measuring.compareAndSet(false, true)) {
      Thread.startVirtualThread(
          () -> {
            try {
              meter.get().watts(System::nanoTime).ifPresent(w -> watts = w);
              work.throttle(config.caps().watts() > 0 && watts > config.caps().watts());
            } finally {
              measuring.set(false);
            }
          });
    }
  }

  // Getting ready

  private record Choice(FromGateway.Offer.Wanted wanted, Fit fit) {}

  private void prepare() {
    List<FromGateway.Offer.Wanted> wanted =
        uplinks.stream().filter(Uplink::isJoined).flatMap(u -> u.offers().stream()).toList();
    if (wanted.isEmpty()) {
      boolean joined = uplinks.stream().anyMatch(Uplink::isJoined);
      state = "waiting";
      why =
          joined
              ? "the gateway wants no model"
              : uplinks.stream().map(u -> u.gateway() + ": " + u.why()).findFirst().orElse("");
      return;
    }
    Thread thread =
        Thread.ofVirtual()
            .name("prepare")
            .unstarted(
                () -> {
                  try {
                    Optional<Choice> choice = choose(wanted);
                    if (choice.isPresent()) {
                      prepare(choice.get());
                    }
                  } catch (IOException e) {
                    state = "waiting";
                    why = String.valueOf(e.getMessage());
                    retryAt = System.nanoTime() + RETRY_NANOS;
                  } catch (InterruptedException e) {
                    // The owner needs the machine; what was fetched is kept.
                  } finally {
                    preparing = null;
                  }
                });
    preparing = thread; // before it runs: it takes itself out
    thread.start();
  }

  /** What is served, by the memory that is free now; waits a while where nothing fits. */
  private Optional<Choice> choose(List<FromGateway.Offer.Wanted> wanted) throws IOException {
    Optional<Choice> choice;
    String wrong;
    if (config.server().isPresent()) {
      NodeConfig.Server server = config.server().get();
      choice = claimed(wanted, server);
      wrong = "no gateway wants " + server.as();
    } else {
      long memory = hardware.gpuBytes() > 0 ? Math.min(memory(), graphicsMemory()) : memory();
      choice = wanted.stream().flatMap(w -> fit(w, memory).stream()).findFirst();
      wrong = "no model that is wanted fits into " + (memory >> 20) + " MiB of memory";
    }
    if (choice.isEmpty()) {
      state = "waiting";
      why = wrong;
      retryAt = System.nanoTime() + RETRY_NANOS;
    }
    return choice;
  }

  /** What the owner's programs have left of the graphics processors' own memory. */
  private long graphicsMemory() throws IOException {
    return Device.all(config.libraries(), config.log(), config.sandbox()).stream()
        .filter(d -> d.kind() == Device.Kind.GPU)
        .mapToLong(d -> d.freeBytes() / 100 * GRAPHICS_PERCENT)
        .sum();
  }

  private Optional<Choice> fit(FromGateway.Offer.Wanted wanted, long memory) {
    return Fit.best(
            wanted.manifest(),
            memory,
            files.bytesMax(),
            wanted.contextTokens(),
            config.caps().slots(),
            wanted.least())
        .map(f -> new Choice(wanted, f));
  }

  /** What the owner says that their server runs. */
  private Optional<Choice> claimed(
      List<FromGateway.Offer.Wanted> wanted, NodeConfig.Server server) {
    for (FromGateway.Offer.Wanted one : wanted) {
      for (var variant : one.manifest().variants()) {
        if (server.as().equals(one.manifest().id() + "@" + variant.quantization())) {
          Fit fit = new Fit(variant, config.caps().slots(), one.contextTokens(), 0);
          return Optional.of(new Choice(one, fit));
        }
      }
    }
    return Optional.empty();
  }

  private void prepare(Choice choice) throws IOException, InterruptedException {
    Fit fit = choice.fit();
    Generator engine;
    String build;
    if (config.server().isPresent()) {
      engine = new ServerEngine(http, config.server().get());
      build = "server";
    } else {
      Path file = file(choice);
      state = "starting";
      why = "";
      engine =
          Engine.start(
              new Engine.Config(
                  config.libraries(),
                  file,
                  fit.slots(),
                  fit.contextTokens(),
                  config.caps().cores(),
                  config.log(),
                  config.under(),
                  config.caps().pace(),
                  config.patience(),
                  config.sandbox()));
      build = Engine.BUILD + "+" + Engine.backend(config.libraries());
    }
    try {
      String key =
          String.join(
              " ",
              fit.variant().sha256(),
              build,
              fit.contextTokens() + " tokens",
              config.caps().cores() + " cores",
              "pace " + config.caps().pace());
      Optional<Speed> known = speeds.find(key);
      Speed speed =
          known.isPresent()
              ? known.get()
              : Speed.measure(engine, fit.contextTokens(), System::nanoTime);
      speeds.keep(key, speed);
      if (Thread.interrupted() || closed) {
        throw new InterruptedException();
      }
      state = "serving";
      why = "";
      work.serve(new Served(engine, choice.wanted(), fit, speed, build, config.server().isEmpty()));
    } catch (IOException | InterruptedException | RuntimeException e) {
      if (engine instanceof Engine own) {
        own.abandon();
      }
      throw e;
    }
  }

  private Path file(Choice choice) throws IOException, InterruptedException {
    state = "fetching";
    why = "";
    fetching = choice.fit().variant().bytes();
    fetched = 0;
    String sha256 = choice.fit().variant().sha256();
    List<ModelFiles.Source> sources =
        uplinks.stream()
            .filter(u -> u.isJoined() && wants(u, choice.wanted().manifest()))
            .map(u -> u.source(sha256))
            .toList();
    return files.get(choice.fit().variant(), sources, Set.of(sha256), bytes -> fetched = bytes);
  }

  private static boolean wants(Uplink uplink, Manifest manifest) {
    return uplink.offers().stream().anyMatch(w -> w.manifest().equals(manifest));
  }

  /** Tells each gateway what is served, where it does not know. */
  private void announce() {
    Served now = work.served();
    for (Uplink uplink : uplinks) {
      FromGateway.Welcome connection = uplink.welcome();
      if (connection != null && now != null && wants(uplink, now.wanted().manifest())) {
        Announced what = new Announced(connection, now.message());
        if (!what.equals(announced.put(uplink, what))) {
          uplink.send(what.message());
          uplink.send(new FromNode.Status(true, "", work.active(), memory()));
        }
      }
    }
  }

  /** What was said to a gateway in one connection; the next knows nothing of it. */
  private record Announced(FromGateway.Welcome connection, FromNode.Serving message) {}

  private void announceStatus(boolean accepting, String reason) {
    for (Uplink uplink : uplinks) {
      uplink.send(new FromNode.Status(accepting, reason, work.active(), memory()));
    }
  }

  private void tell() {
    Served now = work.served();
    boolean ready = now != null && now.engine().isReady();
    String reason = ready ? "" : now == null ? why : now.engine().why();
    announceStatus(ready, short120(reason));
    long at = System.nanoTime();
    double seconds = (at - tokensAt) / 1e9;
    if (seconds > 0.5) {
      rate = (work.tokens() - tokensBefore) / seconds;
      tokensBefore = work.tokens();
      tokensAt = at;
    }
    status.accept(
        new NodeStatus(
            clock.instant().toEpochMilli(),
            identity.address(),
            hardware.summary(),
            now != null && !ready ? "hung" : state,
            reason,
            now == null ? "" : now.wanted().manifest().id(),
            now == null ? "" : now.fit().variant().quantization(),
            now == null ? 0 : now.fit().contextTokens(),
            now == null ? 0 : now.fit().slots(),
            work.active(),
            fetched,
            fetching,
            now == null ? 0 : now.speed().prefillTps(),
            now == null ? 0 : now.speed().decodeTps(),
            work.answers(),
            work.tokens(),
            rate,
            yields.get(),
            released.get(),
            pending.get(),
            watts,
            now != null && now.engine() instanceof Engine own ? own.pid() : -1,
            now != null && now.engine() instanceof Engine own ? own.sandbox() : "",
            uplinks.stream().map(NodeAgent::gateway).toList()));
  }

  private static String short120(String text) {
    return text.length() <= 120 ? text : text.substring(0, 120);
  }

  private static NodeStatus.Gateway gateway(Uplink uplink) {
    FromGateway.Welcome joined = uplink.welcome();
    return new NodeStatus.Gateway(
        uplink.gateway().toString(),
        joined != null,
        joined == null ? "" : joined.pool(),
        joined != null && joined.vouched(),
        joined == null ? uplink.why() : "");
  }

  // Work

  private final class Ears implements Uplink.Listener {
    @Override
    public FromNode.Hello hello(String signature) {
      return new FromNode.Hello(
          Protocol.VERSION,
          identity.address(),
          signature,
          config.name(),
          config.region(),
          config.invitation(),
          hardware.summary(),
          memory(),
          files.bytesMax(),
          config.caps().slots(),
          hardware.watts());
    }

    @Override
    public void heard(Uplink from, FromGateway message) {
      if (message instanceof FromGateway.Paid paid) {
        (paid.pending() ? pending : released).addAndGet(paid.micro());
      } else {
        work.heard(from, message);
      }
    }

    @Override
    public void ended(Uplink from) {
      work.ended(from);
    }

    @Override
    public void drained(Uplink from) {
      work.drained(from);
    }
  }

  /** Ends what runs; others go on with it. */
  @Override
  public void close() {
    closed = true;
    steward.interrupt();
    Thread fetchingOrStarting = preparing;
    if (fetchingOrStarting != null) {
      fetchingOrStarting.interrupt();
    }
    endAll("the node stops");
    uplinks.forEach(Uplink::close);
  }
}
