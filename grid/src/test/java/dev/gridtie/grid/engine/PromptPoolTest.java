package dev.gridtie.grid.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.grid.engine.PromptPool.Result;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** Prompts are made beside the thread that computes. */
class PromptPoolTest {
  private final AtomicLong now = new AtomicLong();
  private final CountDownLatch ended = new CountDownLatch(1);

  @SuppressWarnings("EmptyCatch")
  private static int[] stuck(CountDownLatch begun, CountDownLatch until) {
    begun.countDown();
    while (until.getCount() > 0) {
      try {
        until.await();
      } catch (InterruptedException e) {
        // Such as a template engine that takes no notice.
      }
    }
    return new int[0];
  }

  @Test
  void oneThatDoesNotEndIsLeftAndOthersGoOn() throws Exception {
    CountDownLatch until = new CountDownLatch(1);
    try (PromptPool pool = new PromptPool(now::get, ended::countDown)) {
      for (int i = 0; i < 4; i++) {
        CountDownLatch begun = new CountDownLatch(1);
        CompletableFuture<Result> slow = new CompletableFuture<>();
        assertThat(pool.submit(() -> stuck(begun, until), slow::complete)).isTrue();
        begun.await();
        CompletableFuture<Result> other = new CompletableFuture<>();
        assertThat(pool.submit(() -> new int[] {1}, other::complete)).isTrue();
        assertThat(other.get(30, TimeUnit.SECONDS)).isInstanceOf(Result.Tokens.class);
        assertThat(slow).isNotDone();
        now.addAndGet(PromptPool.PATIENCE_NANOS);
        assertThat(slow.get(30, TimeUnit.SECONDS))
            .isEqualTo(new Result.Refused("overloaded", "the model's chat template does not end"));
      }
      assertThat(ended.await(30, TimeUnit.SECONDS)).as("too many were left").isTrue();
    } finally {
      until.countDown();
    }
  }

  @Test
  void whatATemplateThrowsIsARefusal() throws Exception {
    try (PromptPool pool = new PromptPool(now::get, ended::countDown)) {
      CompletableFuture<Result> deep = new CompletableFuture<>();
      pool.submit(
          () -> {
            throw new StackOverflowError();
          },
          deep::complete);
      assertThat(deep.get(30, TimeUnit.SECONDS)).isInstanceOf(Result.Refused.class);
    }
  }
}
