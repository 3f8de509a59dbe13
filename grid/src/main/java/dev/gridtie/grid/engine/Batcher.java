package dev.gridtie.grid.engine;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Continuous batching: every step computes one more token of each sequence that is answering, and
 * with the room left in the batch parts of prompts that have come in. One thread runs it and owns
 * the model; others only hand in commands.
 */
final class Batcher {
  /** How many commands may wait for the thread. */
  static final int INBOX_MAX = 4096;

  private final Llama llama;
  private final PromptEncoder encoder;
  private final PromptPool prompts;
  private final Progress progress;
  private final int contextTokens;
  private final int batchMax;
  private final Listener listener;
  private final BlockingQueue<Command> inbox = new LinkedBlockingQueue<>(INBOX_MAX);
  private final Set<Long> cancelled = ConcurrentHashMap.newKeySet();

  /** What has been asked, and waits for its prompt. */
  private final Map<Long, Asked> asked = new HashMap<>();

  private final Deque<Job> waiting = new ArrayDeque<>();
  private final List<Job> active = new ArrayList<>();
  private final Deque<Integer> freeSequences = new ArrayDeque<>();

  /** The tokens that each sequence's cache holds, also after its answer. */
  private final List<List<Integer>> held = new ArrayList<>();

  private final float[] logits;
  private final int threads;
  private final long stepNanosMin;
  private @Nullable EmbeddingContext embeddings;

  /** Hears what becomes of jobs; all but what was only counted on the batcher's thread. */
  interface Listener {
    void counted(long id, int tokens);

    void embedded(long id, float[] values, int tokens);

    void started(long id, int promptTokens);

    void text(long id, String text, List<Integer> tokens, int completionTokens);

    void ended(long id, EndReason reason, int promptTokens, int completionTokens);

    void refused(long id, String code, String message);

    /** A step is over: what was said in it may go out together. */
    void flush();
  }

  sealed interface Command {
    record Count(long id, List<Turn> turns) implements Command {}

    /** What a text is like. */
    record Embed(long id, String text) implements Command {}

    record Generate(long id, Ask ask) implements Command {}

    record Cancel(long id) implements Command {}

    /** Whether an answer goes on, or waits for its reader. */
    record Flow(long id, boolean on) implements Command {}

    /** The prompt of what was asked is there, or why there is none. */
    record Encoded(long id, PromptPool.Result result) implements Command {}

    record Shutdown() implements Command {}
  }

  /** Something asked whose prompt is being made. */
  private static final class Asked {
    final Command command;
    boolean paused;

    Asked(Command command) {
      this.command = command;
    }
  }

  /** A sequence being answered. */
  private static final class Job {
    final long id;
    final int promptTokens;

    /** What is read before the first new token: the prompt, and what was said of the answer. */
    final int[] given;

    final int maxTokens;
    final Sampler sampler;
    final TextAssembler text;
    final List<Integer> untold = new ArrayList<>();
    int sequence = -1;
    int computed;
    int last = -1;
    int generated;
    int batchIndex = -1;
    boolean paused;

    Job(Command.Generate command, int[] prompt, int maxTokens, int vocabulary) {
      Ask ask = command.ask();
      this.id = command.id();
      this.promptTokens = prompt.length;
      this.maxTokens = maxTokens;
      this.sampler = new Sampler(ask.sampling(), vocabulary);
      this.text = new TextAssembler(ask.sampling().stop());
      this.generated = ask.said().size();
      this.given = Arrays.copyOf(prompt, prompt.length + generated);
      for (int i = 0; i < generated; i++) {
        given[prompt.length + i] = ask.said().get(i);
      }
    }

    boolean prefilling() {
      return computed < given.length;
    }
  }

  Batcher(
      Llama llama,
      PromptEncoder encoder,
      PromptPool prompts,
      int sequences,
      int contextTokens,
      int batchMax,
      int threads,
      int pace,
      Progress progress,
      Listener listener) {
    this.stepNanosMin = pace == 0 ? 0 : 1_000_000_000L / pace;
    this.llama = llama;
    this.threads = threads;
    this.encoder = encoder;
    this.prompts = prompts;
    this.progress = progress;
    this.contextTokens = contextTokens;
    this.batchMax = batchMax;
    this.listener = listener;
    this.logits = new float[llama.vocabularySize()];
    for (int i = 0; i < sequences; i++) {
      freeSequences.add(i);
      held.add(new ArrayList<>());
    }
  }

  /**
   * Hands in a command; false where too many wait. A cancellation is seen before the next token.
   */
  boolean submit(Command command) {
    if (command instanceof Command.Cancel cancel) {
      cancelled.add(cancel.id());
    }
    return inbox.offer(command);
  }

  /** Runs until shut down. */
  void run() throws InterruptedException {
    while (true) {
      progress.step();
      boolean idle = waiting.isEmpty() || freeSequences.isEmpty();
      if (idle && active.stream().allMatch(j -> j.paused)) {
        progress.working(false);
        Command next = inbox.take();
        progress.working(true);
        if (!take(next)) {
          return;
        }
      }
      for (Command next = inbox.poll(); next != null; next = inbox.poll()) {
        if (!take(next)) {
          return;
        }
      }
      dropCancelled();
      admit();
      if (active.stream().anyMatch(j -> !j.paused)) {
        long began = System.nanoTime();
        step();
        long left = stepNanosMin - (System.nanoTime() - began);
        if (left > 0) {
          progress.step();
          TimeUnit.NANOSECONDS.sleep(left);
        }
      }
    }
  }

  private boolean take(Command command) {
    switch (command) {
      case Command.Count c ->
          prompt(
              c.id(),
              () -> encoder.encode(c.turns()),
              result -> {
                switch (result) {
                  case PromptPool.Result.Tokens t -> listener.counted(c.id(), t.tokens().length);
                  case PromptPool.Result.Refused r ->
                      listener.refused(c.id(), r.code(), r.message());
                }
              });
      case Command.Embed e -> ask(e.id(), e, () -> llama.tokenize(e.text(), false));
      case Command.Generate g -> ask(g.id(), g, () -> encoder.encode(g.ask().turns()));
      case Command.Encoded e -> encoded(e);
      case Command.Cancel ignored -> {}
      case Command.Flow flow -> {
        Asked early = asked.get(flow.id());
        if (early != null) {
          early.paused = !flow.on();
        }
        for (Job job : active) {
          job.paused = job.id == flow.id() ? !flow.on() : job.paused;
        }
        for (Job job : waiting) {
          job.paused = job.id == flow.id() ? !flow.on() : job.paused;
        }
      }
      case Command.Shutdown ignored -> {
        return false;
      }
    }
    return true;
  }

  private void ask(long id, Command command, PromptPool.Work work) {
    asked.put(id, new Asked(command));
    prompt(id, work, result -> encodedElsewhere(new Command.Encoded(id, result)));
  }

  /** Has a prompt made beside this thread. */
  private void prompt(long id, PromptPool.Work work, Consumer<PromptPool.Result> then) {
    if (!prompts.submit(work, then)) {
      asked.remove(id);
      listener.refused(id, "overloaded", "too many prompts wait");
    }
  }

  /** On the thread that has made the prompt; waits where the inbox is full, for it is drained. */
  private void encodedElsewhere(Command.Encoded encoded) {
    try {
      inbox.put(encoded);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // the process ends
    }
  }

  private void encoded(Command.Encoded encoded) {
    Asked one = asked.remove(encoded.id());
    if (one == null) {
      return; // cancelled meanwhile
    }
    switch (encoded.result()) {
      case PromptPool.Result.Refused r -> listener.refused(encoded.id(), r.code(), r.message());
      case PromptPool.Result.Tokens t -> {
        switch (one.command) {
          case Command.Embed e -> embed(e, t.tokens());
          case Command.Generate g -> accept(g, t.tokens(), one.paused);
          default -> throw new IllegalStateException("nothing else has a prompt");
        }
      }
    }
  }

  /** Texts are short beside answers: each is computed whole, between two steps. */
  private void embed(Command.Embed command, int[] tokens) {
    EmbeddingContext context = embeddings;
    if (context == null) {
      context = llama.embeddings(contextTokens, threads);
      embeddings = context;
    }
    if (tokens.length == 0 || tokens.length > contextTokens) {
      listener.refused(
          command.id(),
          "context_length_exceeded",
          "a text must have 1 to " + contextTokens + " tokens, not " + tokens.length);
      return;
    }
    listener.embedded(command.id(), context.embed(tokens), tokens.length);
  }

  private void accept(Command.Generate command, int[] prompt, boolean paused) {
    Ask ask = command.ask();
    int wanted = Math.max(1, ask.maxTokens());
    if (prompt.length == 0 || prompt.length + wanted > contextTokens) {
      listener.refused(
          command.id(),
          "context_length_exceeded",
          prompt.length
              + " prompt tokens and "
              + wanted
              + " more do not fit into "
              + contextTokens);
      return;
    }
    int max = ask.maxTokens() == 0 ? contextTokens - prompt.length : ask.maxTokens();
    if (ask.said().size() > max
        || ask.said().stream().anyMatch(t -> t < 0 || t >= llama.vocabularySize())) {
      listener.refused(command.id(), "invalid_messages", "what was said is no such answer");
      return;
    }
    Job job = new Job(command, prompt, max, llama.vocabularySize());
    job.paused = paused;
    for (int token : ask.said()) {
      String unused = job.text.push(llama.piece(token)); // whoever said it has given its text
    }
    if (job.text.stopped() || job.generated == max) {
      listener.started(job.id, job.promptTokens);
      end(job, job.text.stopped() ? EndReason.STOP : EndReason.LENGTH);
    } else {
      waiting.add(job);
    }
  }

  private void dropCancelled() {
    if (cancelled.isEmpty()) {
      return;
    }
    for (Job job : List.copyOf(active)) {
      if (cancelled.remove(job.id)) {
        end(job, EndReason.CANCELLED);
      }
    }
    waiting.removeIf(
        job -> {
          boolean drop = cancelled.remove(job.id);
          if (drop) {
            listener.ended(job.id, EndReason.CANCELLED, job.promptTokens, job.generated);
          }
          return drop;
        });
    asked
        .keySet()
        .removeIf(
            id -> {
              boolean drop = cancelled.remove(id);
              if (drop) {
                listener.ended(id, EndReason.CANCELLED, 0, 0);
              }
              return drop;
            });
    cancelled.clear(); // what is left names jobs that ended before
  }

  private void admit() {
    while (!waiting.isEmpty() && !freeSequences.isEmpty()) {
      Job job = waiting.remove();
      seat(job);
      active.add(job);
      listener.started(job.id, job.promptTokens);
    }
  }

  private void step() {
    llama.clearBatch();
    for (Job job : active) {
      job.batchIndex =
          job.prefilling() || job.paused
              ? -1
              : llama.add(job.last, job.promptTokens + job.generated - 1, job.sequence, true);
      if (!job.prefilling() && !job.paused) {
        held.get(job.sequence).add(job.last);
      }
    }
    for (Job job : active) {
      while (job.prefilling() && !job.paused && llama.batchSize() < batchMax) {
        boolean isLast = job.computed == job.given.length - 1;
        int index = llama.add(job.given[job.computed], job.computed, job.sequence, isLast);
        held.get(job.sequence).add(job.given[job.computed]);
        job.computed++;
        job.batchIndex = isLast ? index : -1;
      }
    }
    llama.decode();
    for (Job job : List.copyOf(active)) {
      if (job.batchIndex >= 0) {
        advance(job);
      }
    }
    listener.flush();
  }

  private void advance(Job job) {
    llama.logits(job.batchIndex, logits);
    int token = job.sampler.choose(logits, job.promptTokens + job.generated);
    if (llama.endsGeneration(token)) {
      end(job, EndReason.STOP);
      return;
    }
    job.last = token;
    job.generated++;
    job.untold.add(token);
    String text = job.text.push(llama.piece(token));
    if (!text.isEmpty()) {
      tell(job, text);
    }
    if (job.text.stopped()) {
      end(job, EndReason.STOP);
    } else if (job.generated >= job.maxTokens) {
      end(job, EndReason.LENGTH);
    }
  }

  private void end(Job job, EndReason reason) {
    String rest = reason == EndReason.CANCELLED ? "" : job.text.finish();
    if (!rest.isEmpty()) {
      tell(job, rest);
    }
    active.remove(job);
    if (job.sequence >= 0) {
      freeSequences.add(job.sequence);
    }
    listener.ended(job.id, reason, job.promptTokens, job.generated);
  }

  private void tell(Job job, String text) {
    listener.text(job.id, text, List.copyOf(job.untold), job.generated);
    job.untold.clear();
  }

  /**
   * Takes the free sequence that holds most of what the job begins with, and keeps that: a turn
   * that goes on from the last one reads only what is new. At least one token is read anew, for
   * what comes after it.
   */
  private void seat(Job job) {
    int best = -1;
    int kept = -1;
    for (int sequence : freeSequences) {
      int common = common(held.get(sequence), job.given);
      if (common > kept || common == kept && held.get(sequence).size() < held.get(best).size()) {
        best = sequence;
        kept = common;
      }
    }
    boolean unused = freeSequences.remove(Integer.valueOf(best));
    List<Integer> holds = held.get(best);
    holds.subList(kept, holds.size()).clear();
    llama.forgetFrom(best, kept);
    job.sequence = best;
    job.computed = kept;
  }

  private static int common(List<Integer> holds, int[] given) {
    int max = Math.min(holds.size(), given.length - 1);
    int n = 0;
    while (n < max && holds.get(n) == given[n]) {
      n++;
    }
    return n;
  }
}
