package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
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
  private final int contextTokens;
  private final int batchMax;
  private final Listener listener;
  private final BlockingQueue<Command> inbox = new LinkedBlockingQueue<>(INBOX_MAX);
  private final Set<Long> cancelled = ConcurrentHashMap.newKeySet();
  private final Deque<Job> waiting = new ArrayDeque<>();
  private final List<Job> active = new ArrayList<>();
  private final Deque<Integer> freeSequences = new ArrayDeque<>();
  private final float[] logits;
  private final int threads;
  private @Nullable EmbeddingContext embeddings;

  /** Hears what becomes of jobs, on the batcher's thread. */
  interface Listener {
    void counted(long id, int tokens);

    void embedded(long id, float[] values, int tokens);

    void started(long id, int promptTokens);

    void text(long id, String text, int completionTokens);

    void ended(long id, EndReason reason, int promptTokens, int completionTokens);

    void refused(long id, String code, String message);
  }

  sealed interface Command {
    record Count(long id, List<Turn> turns) implements Command {}

    /** What a text is like. */
    record Embed(long id, String text) implements Command {}

    record Generate(long id, List<Turn> turns, Sampling sampling, int maxTokens)
        implements Command {}

    record Cancel(long id) implements Command {}

    record Shutdown() implements Command {}
  }

  /** A sequence being answered. */
  private static final class Job {
    final long id;
    final int[] prompt;
    final int maxTokens;
    final Sampler sampler;
    final TextAssembler text;
    int sequence = -1;
    int computed;
    int last = -1;
    int generated;
    int batchIndex = -1;

    Job(Command.Generate command, int[] prompt, int vocabulary) {
      this.id = command.id();
      this.prompt = prompt;
      this.maxTokens = command.maxTokens();
      this.sampler = new Sampler(command.sampling(), vocabulary);
      this.text = new TextAssembler(command.sampling().stop());
    }

    boolean prefilling() {
      return computed < prompt.length;
    }
  }

  Batcher(
      Llama llama,
      PromptEncoder encoder,
      int sequences,
      int contextTokens,
      int batchMax,
      int threads,
      Listener listener) {
    this.llama = llama;
    this.threads = threads;
    this.encoder = encoder;
    this.contextTokens = contextTokens;
    this.batchMax = batchMax;
    this.listener = listener;
    this.logits = new float[llama.vocabularySize()];
    for (int i = 0; i < sequences; i++) {
      freeSequences.add(i);
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
      if (active.isEmpty() && waiting.isEmpty()) {
        if (!take(inbox.take())) {
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
      if (!active.isEmpty()) {
        step();
      }
    }
  }

  private boolean take(Command command) {
    switch (command) {
      case Command.Count c -> {
        try {
          listener.counted(c.id(), encoder.encode(c.turns()).length);
        } catch (TemplateException e) {
          listener.refused(c.id(), "invalid_messages", String.valueOf(e.getMessage()));
        }
      }
      case Command.Embed e -> embed(e);
      case Command.Generate g -> accept(g);
      case Command.Cancel ignored -> {}
      case Command.Shutdown ignored -> {
        return false;
      }
    }
    return true;
  }

  /** Texts are short beside answers: each is computed whole, between two steps. */
  private void embed(Command.Embed command) {
    EmbeddingContext context = embeddings;
    if (context == null) {
      context = llama.embeddings(contextTokens, threads);
      embeddings = context;
    }
    int[] tokens = llama.tokenize(command.text(), false);
    if (tokens.length == 0 || tokens.length > contextTokens) {
      listener.refused(
          command.id(),
          "context_length_exceeded",
          "a text must have 1 to " + contextTokens + " tokens, not " + tokens.length);
      return;
    }
    listener.embedded(command.id(), context.embed(tokens), tokens.length);
  }

  private void accept(Command.Generate command) {
    try {
      int[] prompt = encoder.encode(command.turns());
      if (prompt.length == 0 || prompt.length + command.maxTokens() > contextTokens) {
        listener.refused(
            command.id(),
            "context_length_exceeded",
            prompt.length
                + " prompt tokens and "
                + command.maxTokens()
                + " more do not fit into "
                + contextTokens);
        return;
      }
      waiting.add(new Job(command, prompt, llama.vocabularySize()));
    } catch (TemplateException e) {
      listener.refused(command.id(), "invalid_messages", String.valueOf(e.getMessage()));
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
            listener.ended(job.id, EndReason.CANCELLED, job.prompt.length, 0);
          }
          return drop;
        });
    cancelled.clear(); // what is left names jobs that ended before
  }

  private void admit() {
    while (!waiting.isEmpty() && !freeSequences.isEmpty()) {
      Job job = waiting.remove();
      job.sequence = freeSequences.remove();
      active.add(job);
      listener.started(job.id, job.prompt.length);
    }
  }

  private void step() {
    llama.clearBatch();
    for (Job job : active) {
      job.batchIndex =
          job.prefilling()
              ? -1
              : llama.add(job.last, job.prompt.length + job.generated - 1, job.sequence, true);
    }
    for (Job job : active) {
      while (job.prefilling() && llama.batchSize() < batchMax) {
        boolean isLast = job.computed == job.prompt.length - 1;
        int index = llama.add(job.prompt[job.computed], job.computed, job.sequence, isLast);
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
  }

  private void advance(Job job) {
    llama.logits(job.batchIndex, logits);
    int token = job.sampler.choose(logits, job.prompt.length + job.generated);
    if (llama.endsGeneration(token)) {
      end(job, EndReason.STOP);
      return;
    }
    job.last = token;
    job.generated++;
    String text = job.text.push(llama.piece(token));
    if (!text.isEmpty()) {
      listener.text(job.id, text, job.generated);
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
      listener.text(job.id, rest, job.generated);
    }
    active.remove(job);
    llama.forget(job.sequence);
    freeSequences.add(job.sequence);
    listener.ended(job.id, reason, job.prompt.length, job.generated);
  }
}
