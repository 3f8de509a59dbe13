package dev.gridtie.grid.fleet;

import static java.nio.charset.StandardCharsets.UTF_8;

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
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;

/**
 * Nodes that answer equally: the same weights, engine, pool and region. What one has begun another
 * can end. Safe for use by many threads.
 */
public final class Group implements Generator {
  /** How long a node may take to count, or to say what a text is like. */
  private static final int SHORT_MS_MAX = 3_000;

  /** How often that is tried, each time at other nodes. */
  private static final int SHORT_TRIES = 2;

  /** So many nodes are asked what one alone is not believed. */
  static final int OPINIONS = 2;

  /** How much later than the first the second may say something short. */
  private static final int SECOND_MS_MAX = 250;

  /** What a tokenizer may put around a text. */
  private static final int EMBED_TOKENS_MORE = 16;

  /** How much the latest answer moves what counts as usual. */
  private static final double RATE_STEP = 0.05;

  private final Key key;
  private final Manifest manifest;
  private final int contextTokens;
  private final Variant variant;
  private final @Nullable PromptCounts counts;
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
      String manifest, String file, String build, boolean sampled, String pool, String region) {
    /** Whether these differ in their engines alone. */
    boolean isBeside(Key other) {
      return manifest.equals(other.manifest)
          && file.equals(other.file)
          && sampled == other.sampled
          && pool.equals(other.pool)
          && region.equals(other.region);
    }
  }

  Group(
      Key key,
      Manifest manifest,
      int contextTokens,
      Variant variant,
      @Nullable Counter counter,
      Grid grid,
      Dispatcher dispatcher) {
    this.key = key;
    this.manifest = manifest;
    this.contextTokens = contextTokens;
    this.variant = variant;
    this.counts = counter == null ? null : new PromptCounts(counter);
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

  /** The context that all of them have: nodes of less are not taken. */
  public int contextTokens() {
    return contextTokens;
  }

  public int waiting() {
    return dispatcher.waiting();
  }

  /** Tokens a second that all its free and busy slots give together; at least one. */
  @Override
  public long capacity() {
    return members.stream()
        .map(Member::slot)
        .filter(Objects::nonNull)
        .mapToLong(s -> (long) s.slots() * s.tokensPerSecond() + 1)
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
    if (counts != null) {
      try {
        return counts.count(turns);
      } catch (EngineException e) {
        if (!e.failure().retryable()) {
          throw e;
        }
        // Nodes may count meanwhile.
      }
    }
    int most = PromptCounts.most(turns);
    int least = PromptCounts.least(turns);
    OptionalInt lowest = OptionalInt.empty();
    EngineException refused = new EngineException(none());
    for (FromNode answer : ask(job -> new FromGateway.Count(job, turns), OPINIONS)) {
      if (answer instanceof FromNode.Counted said) {
        int tokens = Math.clamp(said.tokens(), least, most);
        lowest = OptionalInt.of(Math.min(lowest.orElse(tokens), tokens));
      } else if (answer instanceof FromNode.Failed failed) {
        refused = new EngineException(failure(failed));
      }
    }
    if (lowest.isEmpty()) {
      throw refused;
    }
    return lowest.getAsInt();
  }

  /** What the gateway itself counts of prompts; null where only nodes can. */
  @Nullable PromptCounts counts() {
    return counts;
  }

  @Override
  public Engine.Embedded embed(String text) throws EngineException {
    int most = text.getBytes(UTF_8).length + EMBED_TOKENS_MORE;
    EngineException refused = new EngineException(none());
    for (int i = 0; i < OPINIONS; i++) {
      FromNode answer = ask(job -> new FromGateway.Embed(job, text), 1).getFirst();
      if (answer instanceof FromNode.Embedded embedded) {
        float[] values = new float[embedded.values().size()];
        for (int v = 0; v < values.length; v++) {
          values[v] = embedded.values().get(v);
        }
        return new Engine.Embedded(values, Math.min(embedded.tokens(), most));
      }
      refused = new EngineException(answer instanceof FromNode.Failed f ? failure(f) : none());
    }
    throw refused;
  }

  static EngineFailure failure(FromNode.Failed failed) {
    boolean ours =
        failed.code() == EngineFailure.Code.CONTEXT_LENGTH_EXCEEDED
            || failed.code() == EngineFailure.Code.INVALID_MESSAGES;
    return new EngineFailure(failed.code(), failed.message(), !ours);
  }

  /**
   * Asks nodes something short, and others where they say nothing.
   *
   * @param atOnce how many: the second may be a little later than the first, or it is not waited
   *     for
   * @return one answer at least
   */
  private List<FromNode> ask(LongFunction<FromGateway> question, int atOnce)
      throws EngineException {
    List<Member> well = members.stream().filter(Member::isWell).toList();
    int begin = turn.getAndAdd(atOnce);
    int next = 0;
    for (int i = 0; i < SHORT_TRIES && next < well.size(); i++) {
      Map<Long, Member> asked = new LinkedHashMap<>();
      List<CompletableFuture<FromNode>> answers = new ArrayList<>();
      while (asked.size() < atOnce && next < well.size()) {
        Member member = well.get(Math.floorMod(begin + next++, well.size()));
        long job = grid.newJob();
        CompletableFuture<FromNode> answer = new CompletableFuture<>();
        asked.put(job, member);
        answers.add(answer);
        member.expect(job, answer);
        member.send(question.apply(job));
      }
      try {
        List<FromNode> given = await(answers);
        if (!given.isEmpty()) {
          return given;
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new EngineException(none());
      } finally {
        asked.forEach((job, member) -> member.forget(job));
      }
    }
    throw new EngineException(none());
  }

  private static List<FromNode> await(List<CompletableFuture<FromNode>> answers)
      throws InterruptedException {
    List<FromNode> given = new ArrayList<>();
    waitFor(CompletableFuture.anyOf(answers.toArray(CompletableFuture[]::new)), SHORT_MS_MAX);
    for (CompletableFuture<FromNode> answer : answers) {
      waitFor(answer, SECOND_MS_MAX);
      if (answer.isDone() && !answer.isCompletedExceptionally()) {
        given.add(answer.join());
      }
    }
    return given;
  }

  private static void waitFor(CompletableFuture<?> answer, int millis) throws InterruptedException {
    try {
      Object unused = answer.get(millis, TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException e) {
      // Another may.
    }
  }
}
