package dev.gridtie.grid.fleet;

import dev.gridtie.grid.dispatch.Dispatcher;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Engine.EngineException;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongFunction;

/**
 * Nodes that answer equally: the same weights, engine, pool and region. What one has begun another
 * can end. Safe for use by many threads.
 */
public final class Group implements Generator {
  /** How long a node may take to count, or to say what a text is like. */
  private static final int SHORT_MS_MAX = 3_000;

  /** At how many nodes that is tried. */
  private static final int SHORT_TRIES = 2;

  /** How much the latest answer moves what counts as usual. */
  private static final double RATE_STEP = 0.05;

  private final Key key;
  private final Manifest manifest;
  private final Variant variant;
  private final Grid grid;
  private final Dispatcher dispatcher;
  private final List<Member> members = new CopyOnWriteArrayList<>();
  private final AtomicInteger turn = new AtomicInteger();
  private final AtomicInteger answers = new AtomicInteger();
  private volatile double usualRate;

  /**
   * What makes nodes equal.
   *
   * @param manifest the model's hash
   * @param file SHA-256 of the weights
   * @param build of the engine
   * @param sampled whether the sampler is ours
   * @param pool empty for the public one
   * @param region empty where it is not known
   */
  public record Key(
      String manifest, String file, String build, boolean sampled, String pool, String region) {}

  Group(Key key, Manifest manifest, Variant variant, Grid grid, Dispatcher dispatcher) {
    this.key = key;
    this.manifest = manifest;
    this.variant = variant;
    this.grid = grid;
    this.dispatcher = dispatcher;
  }

  public Key key() {
    return key;
  }

  public Manifest manifest() {
    return manifest;
  }

  public Variant variant() {
    return variant;
  }

  Dispatcher dispatcher() {
    return dispatcher;
  }

  void add(Member member) {
    members.add(member);
  }

  void remove(Member member) {
    members.remove(member);
  }

  void began() {
    answers.incrementAndGet();
  }

  void ended() {
    answers.decrementAndGet();
  }

  /** Whether nobody would miss it: no node is here, and no answer waits until one is back. */
  boolean isDone() {
    return members.isEmpty() && answers.get() == 0;
  }

  public int size() {
    return members.size();
  }

  /** The longest context that all of them have. */
  public int contextTokens() {
    return members.stream()
        .mapToInt(m -> m.serving().contextTokens())
        .min()
        .orElse(manifest.contextTokens());
  }

  public int waiting() {
    return dispatcher.waiting();
  }

  /** Tokens a second that all its free and busy slots give together; at least one. */
  @Override
  public long capacity() {
    return members.stream()
        .mapToLong(m -> (long) m.serving().slots() * m.serving().decodeTps() + 1)
        .sum();
  }

  /** Answers come at this rate, in tokens a second; 0 where too little was seen. */
  double usualRate() {
    return usualRate;
  }

  void rate(double tokensPerSecond) {
    usualRate =
        usualRate == 0 ? tokensPerSecond : usualRate + (tokensPerSecond - usualRate) * RATE_STEP;
  }

  @Override
  public boolean isReady() {
    return members.stream().anyMatch(Member::isWell);
  }

  @Override
  public Engine.Generation generate(Ask ask, Engine.Listener listener) throws EngineException {
    if (members.isEmpty() || !key.sampled() && !ask.said().isEmpty()) {
      throw new EngineException(none());
    }
    if (ask.place().elsewhere()
        && dispatcher.expectedWaitNanos() > ask.place().waitMax().toNanos()) {
      throw new EngineException(busy());
    }
    Answering answering = new Answering(grid, this, ask, listener);
    if (!answering.begin()) {
      throw new EngineException(busy());
    }
    return answering;
  }

  /** Too many wait, or one has waited too long. */
  static EngineFailure busy() {
    return new EngineFailure(
        EngineFailure.Code.OVERLOADED, "all nodes of this model are busy; try again soon", true);
  }

  static EngineFailure none() {
    return new EngineFailure(
        EngineFailure.Code.UNAVAILABLE, "no node answers for this model now; try again soon", true);
  }

  @Override
  public int count(List<Turn> turns) throws EngineException {
    FromNode answer = ask(job -> new FromGateway.Count(job, turns));
    return answer instanceof FromNode.Counted counted ? counted.tokens() : failed(answer);
  }

  @Override
  public Engine.Embedded embed(String text) throws EngineException {
    FromNode answer = ask(job -> new FromGateway.Embed(job, text));
    if (!(answer instanceof FromNode.Embedded embedded)) {
      return failed(answer);
    }
    float[] values = new float[embedded.values().size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = embedded.values().get(i);
    }
    return new Engine.Embedded(values, embedded.tokens());
  }

  private static <T> T failed(FromNode answer) throws EngineException {
    throw new EngineException(answer instanceof FromNode.Failed f ? failure(f) : Group.none());
  }

  static EngineFailure failure(FromNode.Failed failed) {
    boolean ours =
        failed.code() == EngineFailure.Code.CONTEXT_LENGTH_EXCEEDED
            || failed.code() == EngineFailure.Code.INVALID_MESSAGES;
    return new EngineFailure(failed.code(), failed.message(), !ours);
  }

  /** Asks a node something short, and another where it says nothing. */
  private FromNode ask(LongFunction<FromGateway> question) throws EngineException {
    List<Member> well = members.stream().filter(Member::isWell).toList();
    for (int i = 0; i < Math.min(SHORT_TRIES, well.size()); i++) {
      Member member = well.get(Math.floorMod(turn.getAndIncrement(), well.size()));
      CompletableFuture<FromNode> answer = new CompletableFuture<>();
      long job = grid.newJob();
      member.expect(job, answer);
      try {
        member.send(question.apply(job));
        return answer.get(SHORT_MS_MAX, TimeUnit.MILLISECONDS);
      } catch (TimeoutException | ExecutionException e) {
        // Another may.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new EngineException(none());
      } finally {
        member.forget(job);
      }
    }
    throw new EngineException(none());
  }
}
