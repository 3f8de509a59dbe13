package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.Job;
import dev.gridtie.wire.chat.Usage;

/**
 * What one answer comes to by our own count. What its server says of it is a claim: it is believed
 * within what was asked for and what was delivered, and where it is missing we estimate. State:
 * guarded by its own monitor.
 */
final class Meter {
  /**
   * How far past its limit an answer may run by our count before it is cut: half as much again, for
   * vocabularies differ, and a few tokens more.
   */
  private static final int TOLERANCE_TOKENS = 16;

  /** A claim of fewer tokens than one for so many characters is looked into. */
  private static final int DENSE_CHARACTERS = 6;

  /** Text that waits to be counted, in characters. */
  private static final int WAITING_MAX = 8 * 1024;

  private final Job job;
  private final int imageTokensMax;
  private final StringBuilder waiting = new StringBuilder();
  private long counted;
  private long characters;

  /** Before so many characters have come, the limit cannot have been reached. */
  private long nextLook;

  private long prompt;

  /**
   * @param imageTokensMax what an image may count as, at most
   */
  Meter(Job job, int imageTokensMax) {
    this.job = job;
    this.imageTokensMax = imageTokensMax;
    this.nextLook = allowed();
  }

  private long allowed() {
    long limit = job.bound().answerTokens();
    return limit == 0 ? Long.MAX_VALUE : limit + limit / 2 + TOLERANCE_TOKENS;
  }

  /** Takes what the model said since. */
  synchronized void said(CharSequence text) {
    waiting.append(text);
    characters += text.length();
    if (waiting.length() > WAITING_MAX) {
      counted += TokenCount.of(waiting);
      waiting.setLength(0);
    }
  }

  /** Whether the answer has run past its limit. */
  synchronized boolean isOver() {
    if (characters < nextLook) {
      return false;
    }
    long left = allowed() - tokens();
    nextLook = characters + Math.max(1, left);
    return left < 0;
  }

  /** Tokens of the answer so far: at least 1 where anything was said. */
  synchronized long tokens() {
    return counted + TokenCount.of(waiting);
  }

  /** What a server claims of a whole answer, as far as it can be. */
  synchronized Usage checked(Usage claimed) {
    Job.Bound bound = job.bound();
    long input = claimed.input();
    if (input == 0 || (bound.promptTokens() > 0 && input > bound.promptTokens())) {
      input = input == 0 ? prompt() : bound.promptTokens();
    }
    long output = claimed.output();
    if (bound.answerTokens() > 0 && output > bound.answerTokens()) {
      output = bound.answerTokens();
    }
    if (output < characters / DENSE_CHARACTERS || output == 0) {
      long ours = tokens();
      if (output == 0 || 2 * output + TOLERANCE_TOKENS < ours) {
        output = bound.answerTokens() > 0 ? Math.min(ours, bound.answerTokens()) : ours;
      }
    }
    long read = Math.min(claimed.cacheRead(), input);
    long written = Math.min(claimed.cacheWrite(), input - read);
    boolean estimated =
        input != claimed.input()
            || output != claimed.output()
            || read != claimed.cacheRead()
            || written != claimed.cacheWrite();
    return new Usage(
        input, read, written, output, Math.min(claimed.reasoning(), output), estimated);
  }

  /** What was used of an answer that is not whole: as far as it was claimed, else by our count. */
  synchronized Usage spent(Usage claimed) {
    long tokens = tokens();
    return tokens > claimed.output()
        ? checked(withOutput(claimed, tokens)).asEstimated()
        : checked(claimed);
  }

  private static Usage withOutput(Usage claimed, long output) {
    return new Usage(
        claimed.input(), claimed.cacheRead(), claimed.cacheWrite(), output, claimed.reasoning());
  }

  /** The tokens of the prompt, estimated once. */
  private long prompt() {
    if (prompt == 0) {
      long most = job.bound().promptTokens();
      long estimate = Math.max(1, PromptBound.estimate(job, imageTokensMax));
      prompt = most == 0 ? estimate : Math.min(most, estimate);
    }
    return prompt;
  }
}
