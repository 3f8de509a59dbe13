package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A model running in a child process. When the child ends by itself, its requests fail with a
 * retryable reason, and it is started again, after a pause that doubles while it keeps ending. Safe
 * for use by many threads.
 */
public final class Engine implements Generator, AutoCloseable {
  /** How many requests may be with the child at once, those waiting for a slot included. */
  public static final int PENDING_MAX = 1024;

  /**
   * What answers are made with, besides the model's file: llama.cpp's version, and our sampler's
   * and encoder's. Engines of one build say the same with the same seed.
   */
  public static final String BUILD = "llama.cpp-" + Llama.VERSION + "+gumbel-1";

  /** What an engine may compute on. */
  public static final List<String> BACKENDS = List.of("cpu", "cuda", "vulkan", "metal");

  /** Commands that wait for the child to read them. */
  private static final int OUTBOX_MAX = 4 * PENDING_MAX;

  /** How long a child may make no step while it has work, where nothing else is said. */
  public static final Duration PATIENCE = ChildWatch.PATIENCE;

  private static final Duration COUNT_PATIENCE = Duration.ofSeconds(30);
  private static final Duration PAUSE_FIRST = Duration.ofMillis(200);
  private static final Duration PAUSE_MAX = Duration.ofSeconds(10);

  /** A child that lived this long was healthy, and the pause starts from the beginning. */
  private static final Duration HEALTHY_AFTER = Duration.ofSeconds(30);

  private final Config config;
  private final Map<Long, Pending> pending = new ConcurrentHashMap<>();
  private final AtomicLong ids = new AtomicLong();
  private final CountDownLatch firstStart = new CountDownLatch(1);
  private volatile @Nullable Child child;
  private volatile @Nullable String fatal;

  /** Why nothing is sent to the child; empty where it is well. */
  private volatile String mute = "";

  /** Why the last child was ended; empty where it ended by itself. */
  private volatile String endedFor = "";

  /** Whether an event of the child's is being told to who waits for it, which may take long. */
  private volatile boolean telling;

  private volatile boolean closed;
  private volatile String sandbox = "";

  /**
   * What to run and how.
   *
   * @param libraries the folder with llama.cpp's libraries
   * @param model a GGUF
   * @param slots how many requests are answered in one batch; 0 where prompts are only counted
   * @param contextTokens of each request, prompt and answer together
   * @param threads for computing
   * @param log where the child's errors go
   * @param under what the child is started under, such as {@code nice -n 19}; usually nothing
   * @param pace the most tokens a second of each answer, to keep a machine cool; 0 for no limit
   * @param patience how long a child may make no step while it has work, or not answer, before it
   *     is ended and started again
   * @param sandbox whether the child must have one
   */
  public record Config(
      Path libraries,
      Path model,
      int slots,
      int contextTokens,
      int threads,
      Path log,
      List<String> under,
      int pace,
      Duration patience,
      Sandbox.Mode sandbox) {
    public Config {
      under = List.copyOf(under);
    }

    /** One that is started by itself. */
    public Config(Path libraries, Path model, int slots, int contextTokens, int threads, Path log) {
      this(
          libraries,
          model,
          slots,
          contextTokens,
          threads,
          log,
          List.of(),
          0,
          PATIENCE,
          Sandbox.Mode.AUTO);
    }
  }

  /** Carries a failure to a caller who waits for an answer. */
  public static final class EngineException extends Exception {
    private static final long serialVersionUID = 1L;
    private final transient EngineFailure failure;

    public EngineException(EngineFailure failure) {
      super(failure.message());
      this.failure = failure;
    }

    public EngineFailure failure() {
      return failure;
    }
  }

  /**
   * Hears an answer as it is generated. Called by one thread, in order; must not block for long.
   */
  public interface Listener {
    /** A machine has taken it; called again where another goes on. */
    default void by(String node) {}

    /** The prompt is being read. */
    void started(int promptTokens);

    /**
     * A piece of the answer.
     *
     * @param tokens of the answer since the last piece, so that another can go on from them
     * @param completionTokens tokens of the answer up to and with this piece
     */
    void text(String text, List<Integer> tokens, int completionTokens);

    /** The answer is whole, or was cancelled. Nothing follows. */
    void ended(EndReason reason, int promptTokens, int completionTokens);

    /** There will be no more of the answer. Nothing follows. */
    void failed(EngineFailure failure);
  }

  /** An answer being generated. */
  public interface Generation {
    /** Stops it before its next token. Harmless where it has ended. */
    void cancel();

    /** Whoever reads is slow: no more tokens until {@link #resume}. */
    default void pause() {}

    default void resume() {}
  }

  private sealed interface Pending {
    record Counting(CompletableFuture<Integer> tokens) implements Pending {}

    record Embedding(CompletableFuture<Embedded> done) implements Pending {}

    record Generating(Listener listener) implements Pending {}
  }

  /**
   * What a text is like.
   *
   * @param values of unit length
   * @param tokens of the text
   */
  public record Embedded(float[] values, int tokens) {}

  /**
   * A child and what is on its way to it: a child that has stopped reads nothing, and whoever wrote
   * to it directly would stop with it.
   */
  private record Child(Process process, BlockingQueue<String> outbox, ChildWatch watch) {
    boolean tell(JsonNode command) {
      return outbox.offer(Json.write(command));
    }
  }

  private Engine(Config config) {
    this.config = config;
  }

  /**
   * Starts the child and waits until it is ready.
   *
   * @throws IOException where it cannot start: the message says why
   */
  public static Engine start(Config config) throws IOException {
    if (!Files.isReadable(config.model())) {
      throw new IOException("there is no model at " + config.model());
    }
    Engine engine = new Engine(config);
    Thread.ofPlatform().daemon(true).name("engine").start(engine::supervise);
    try {
      engine.firstStart.await(); // which comes: a child that makes no step is ended
    } catch (InterruptedException e) {
      engine.close();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted");
    }
    String reason = engine.fatal;
    if (reason != null) {
      engine.close();
      throw new IOException("the engine cannot start: " + reason);
    }
    return engine;
  }

  public Config config() {
    return config;
  }

  /** Whether the child is up and answers. */
  @Override
  public boolean isReady() {
    return child != null && mute.isEmpty();
  }

  @Override
  public String why() {
    if (child != null) {
      return mute;
    }
    return endedFor.isEmpty() ? "the engine is starting" : endedFor + ", and starts again";
  }

  /** What keeps the child from the machine's files, or {@code none: } and why. */
  public String sandbox() {
    return sandbox;
  }

  /** The child's process id, for watching it; -1 while there is none. */
  public long pid() {
    Child running = child;
    return running == null ? -1 : running.process().pid();
  }

  /** The process that computes: the child, or what runs inside of its sandbox; −1 for none. */
  long engineProcess() {
    Child running = child;
    return running == null
        ? -1
        : Stream.concat(Stream.of(running.process().toHandle()), running.process().descendants())
            .reduce((before, after) -> after)
            .orElseThrow()
            .pid();
  }

  /**
   * How many tokens the prompt of a conversation has.
   *
   * @throws EngineException where the engine is not up, or its template refuses the conversation
   */
  @Override
  public int count(List<Turn> turns) throws EngineException {
    CompletableFuture<Integer> tokens = new CompletableFuture<>();
    return await(register(command("count", turns), new Pending.Counting(tokens)), tokens);
  }

  /**
   * What a text is like: the mean of its tokens' last hidden states, at unit length.
   *
   * @throws EngineException where the engine is not up, or the text does not fit
   */
  @Override
  public Embedded embed(String text) throws EngineException {
    CompletableFuture<Embedded> done = new CompletableFuture<>();
    ObjectNode command = Json.object().put("op", "embed").put("text", text);
    return await(register(command, new Pending.Embedding(done)), done);
  }

  private <T> T await(long id, CompletableFuture<T> answer) throws EngineException {
    try {
      return answer.get(COUNT_PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof EngineException engine) {
        throw engine;
      }
      throw new IllegalStateException(e);
    } catch (TimeoutException e) {
      throw new EngineException(
          new EngineFailure(EngineFailure.Code.OVERLOADED, "the engine is too busy", true));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EngineException(EngineFailure.unavailable());
    } finally {
      pending.remove(id);
    }
  }

  /**
   * Starts generating an answer.
   *
   * @throws EngineException where the engine is not up or has too much to do; the listener is not
   *     called then
   */
  @Override
  public Generation generate(Ask ask, Listener listener) throws EngineException {
    Sampling sampling = ask.sampling();
    ObjectNode command = command("generate", ask.turns());
    command.put("max", ask.maxTokens());
    ArrayNode said = command.putArray("said");
    ask.said().forEach(said::add);
    ObjectNode s = command.putObject("sampling");
    s.put("temperature", sampling.temperature());
    s.put("topK", sampling.topK());
    s.put("topP", sampling.topP());
    s.put("minP", sampling.minP());
    s.put("seed", sampling.seed());
    ArrayNode stop = s.putArray("stop");
    sampling.stop().forEach(stop::add);
    long id = register(command, new Pending.Generating(listener));
    return new Generation() {
      @Override
      public void cancel() {
        tell(Json.object().put("op", "cancel"));
      }

      @Override
      public void pause() {
        tell(Json.object().put("op", "flow").put("on", false));
      }

      @Override
      public void resume() {
        tell(Json.object().put("op", "flow").put("on", true));
      }

      private void tell(ObjectNode what) {
        Child running = child;
        if (running != null && pending.containsKey(id)) {
          boolean unused = running.tell(what.put("id", id));
        }
      }
    };
  }

  private static ObjectNode command(String op, List<Turn> turns) {
    ObjectNode command = Json.object();
    command.put("op", op);
    ArrayNode list = command.putArray("turns");
    for (Turn turn : turns) {
      list.addObject().put("role", turn.role()).put("content", turn.content());
    }
    return command;
  }

  private long register(ObjectNode command, Pending what) throws EngineException {
    Child running = child;
    if (running == null) {
      throw new EngineException(EngineFailure.unavailable());
    }
    if (!mute.isEmpty()) {
      throw new EngineException(EngineFailure.mute(mute));
    }
    if (pending.size() >= PENDING_MAX) {
      throw new EngineException(tooMany());
    }
    long id = ids.incrementAndGet();
    command.put("id", id);
    pending.put(id, what);
    boolean sent = running.tell(command);
    if ((!sent || child != running) && pending.remove(id) != null) {
      // It ended before it could have seen this, or does not read.
      throw new EngineException(sent ? EngineFailure.unavailable() : tooMany());
    }
    return id;
  }

  private static EngineFailure tooMany() {
    return new EngineFailure(
        EngineFailure.Code.OVERLOADED, "too many requests wait for the engine", true);
  }

  // Supervision: one thread starts the child, reads it to its end, and starts it again.

  private void supervise() {
    Duration pause = PAUSE_FIRST;
    while (!closed) {
      long started = System.nanoTime();
      try {
        runChild();
      } catch (IOException | RuntimeException e) {
        noteFatal(String.valueOf(e.getMessage()));
      }
      child = null;
      failAll(endedFor.isEmpty() ? EngineFailure.crashed() : EngineFailure.hung(endedFor));
      firstStart.countDown();
      boolean healthy = System.nanoTime() - started > HEALTHY_AFTER.toNanos();
      pause = healthy ? PAUSE_FIRST : pause;
      if (closed) {
        return;
      }
      try {
        Thread.sleep(pause);
      } catch (InterruptedException e) {
        return;
      }
      pause = pause.multipliedBy(2).compareTo(PAUSE_MAX) > 0 ? PAUSE_MAX : pause.multipliedBy(2);
    }
  }

  private void noteFatal(String message) {
    if (firstStart.getCount() > 0) {
      fatal = message;
    }
  }

  private void runChild() throws IOException {
    Sandbox.Started started =
        EngineChild.start(
            config.sandbox(),
            config.under(),
            EngineChild.with(config.libraries(), config.model()),
            config.log());
    Process process = started.process();
    sandbox = started.files().isEmpty() ? "none: " + started.missing() : started.files();
    Child starting =
        new Child(
            process,
            new LinkedBlockingQueue<>(OUTBOX_MAX),
            new ChildWatch(config.patience(), System.nanoTime()));
    ObjectNode first = Json.object();
    first.put("libraries", config.libraries().toString());
    first.put("model", config.model().toString());
    first.put("slots", config.slots());
    first.put("context", config.contextTokens());
    first.put("threads", config.threads());
    first.put("pace", config.pace());
    first.put("sandbox", config.sandbox().name().toLowerCase(Locale.ROOT));
    boolean unused = starting.tell(first);
    mute = "";
    endedFor = "";
    Thread writer = Thread.ofPlatform().daemon(true).name("engine-in").start(() -> write(starting));
    Thread watcher =
        Thread.ofPlatform().daemon(true).name("engine-watch").start(() -> watch(starting));
    try (BufferedReader out =
        new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8))) {
      for (String line = out.readLine(); line != null && !closed; line = out.readLine()) {
        telling = true;
        hear(Json.trusted(line), starting);
        telling = false;
      }
      if (firstStart.getCount() > 0 && fatal == null) {
        fatal =
            endedFor.isEmpty()
                ? "it ended while starting; see " + config.log()
                : endedFor + " while it started";
      }
    } finally {
      telling = false;
      writer.interrupt();
      watcher.interrupt();
      process.destroyForcibly();
    }
  }

  private static void write(Child to) {
    try (BufferedWriter in =
        new BufferedWriter(new OutputStreamWriter(to.process().getOutputStream(), UTF_8))) {
      while (true) {
        in.write(to.outbox().take());
        in.write('\n');
        if (to.outbox().isEmpty()) {
          in.flush();
        }
      }
    } catch (IOException | InterruptedException e) {
      // The child is gone, and with it what was to be told it.
    }
  }

  /** Asks the child every second how far it is, and ends one that is nowhere. */
  private void watch(Child watched) {
    try {
      while (true) {
        Thread.sleep(ChildWatch.EVERY);
        boolean unused = watched.tell(Json.object().put("op", "ping"));
        switch (watched.watch().look(System.nanoTime(), !telling)) {
          case ChildWatch.State.Fine ignored -> mute = "";
          case ChildWatch.State.Mute state -> mute = state.why();
          case ChildWatch.State.Hung state -> {
            endHung(watched, state.why());
            return;
          }
        }
      }
    } catch (InterruptedException e) {
      // The child has ended.
    }
  }

  /** Who waits is told at once: a process that is stuck in a driver may not even end. */
  private void endHung(Child hung, String why) {
    System.err.println("gridtie: " + why + "; it is ended and started again");
    endedFor = why;
    child = null;
    hung.process().descendants().forEach(ProcessHandle::destroyForcibly);
    hung.process().destroyForcibly();
    failAll(EngineFailure.hung(why));
  }

  private void hear(JsonNode event, Child from) {
    String name = event.path("ev").asString();
    long id = event.path("id").asLong();
    switch (name) {
      case "pong" ->
          from.watch().answered(event.path("steps").asLong(), event.path("working").asBoolean());
      case "ready" -> {
        child = from;
        firstStart.countDown();
      }
      case "fatal" -> noteFatal(event.path("message").asString());
      case "counted" -> {
        if (pending.remove(id) instanceof Pending.Counting counting) {
          counting.tokens().complete(event.path("tokens").asInt());
        }
      }
      case "embedded" -> {
        if (pending.remove(id) instanceof Pending.Embedding embedding) {
          JsonNode list = event.path("values");
          float[] values = new float[list.size()];
          for (int i = 0; i < values.length; i++) {
            values[i] = list.path(i).floatValue();
          }
          embedding.done().complete(new Embedded(values, event.path("tokens").asInt()));
        }
      }
      case "started" -> {
        if (pending.get(id) instanceof Pending.Generating g) {
          g.listener().started(event.path("prompt").asInt());
        }
      }
      case "text" -> {
        if (pending.get(id) instanceof Pending.Generating g) {
          List<Integer> tokens = new ArrayList<>();
          event.path("tokens").forEach(t -> tokens.add(t.asInt()));
          g.listener()
              .text(event.path("text").asString(), tokens, event.path("completion").asInt());
        }
      }
      case "ended" -> {
        if (pending.remove(id) instanceof Pending.Generating g) {
          g.listener()
              .ended(
                  EndReason.valueOf(event.path("reason").asString()),
                  event.path("prompt").asInt(),
                  event.path("completion").asInt());
        }
      }
      case "refused" -> fail(pending.remove(id), refusal(event));
      default -> throw new IllegalStateException("the engine says " + name);
    }
  }

  private static EngineFailure refusal(JsonNode event) {
    String message = event.path("message").asString();
    return switch (event.path("code").asString()) {
      case "context_length_exceeded" ->
          new EngineFailure(EngineFailure.Code.CONTEXT_LENGTH_EXCEEDED, message, false);
      case "invalid_messages" ->
          new EngineFailure(EngineFailure.Code.INVALID_MESSAGES, message, false);
      default -> new EngineFailure(EngineFailure.Code.OVERLOADED, message, true);
    };
  }

  private void failAll(EngineFailure failure) {
    for (Long id : pending.keySet()) {
      fail(pending.remove(id), failure);
    }
  }

  private static void fail(@Nullable Pending what, EngineFailure failure) {
    switch (what) {
      case null -> {}
      case Pending.Counting c -> c.tokens().completeExceptionally(new EngineException(failure));
      case Pending.Embedding e -> e.done().completeExceptionally(new EngineException(failure));
      case Pending.Generating g -> g.listener().failed(failure);
    }
  }

  @Override
  public void close() {
    closed = true;
    Child running = child;
    child = null;
    if (running != null) {
      running.process().destroy();
      try {
        if (!running.process().waitFor(2, TimeUnit.SECONDS)) {
          running.process().destroyForcibly();
        }
      } catch (InterruptedException e) {
        running.process().destroyForcibly();
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Ends the child at once, whatever it is doing: its owner wants the machine. */
  public void abandon() {
    Child running = child;
    closed = true;
    child = null;
    if (running != null) {
      running.process().destroyForcibly();
    }
  }

  /**
   * What an engine with these libraries computes on: {@code cuda}, {@code vulkan}, {@code metal} or
   * {@code cpu}. Their results differ in the last bits more often than those of two processors.
   */
  public static String backend(Path libraries) {
    String name = String.valueOf(libraries.getFileName());
    String last = name.substring(name.lastIndexOf('-') + 1);
    return BACKENDS.contains(last) ? last : "cpu";
  }

  /** The folder with llama.cpp's libraries for this platform among the installed npm packages. */
  public static Path libraries(Path nodeModules) {
    return libraries(nodeModules, "");
  }

  /**
   * The same for a graphics processor.
   *
   * @param kind {@code cuda} or {@code vulkan}; empty for the processor (and Metal, on a Mac)
   */
  public static Path libraries(Path nodeModules, String kind) {
    String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    boolean arm = System.getProperty("os.arch", "").contains("aarch64");
    String name =
        os.contains("mac")
            ? (arm ? "mac-arm64-metal" : "mac-x64")
            : (arm ? "linux-arm64" : "linux-x64");
    String full = kind.isEmpty() ? name : name + "-" + kind;
    return nodeModules.resolve("@node-llama-cpp/" + full + "/bins/" + full);
  }
}
