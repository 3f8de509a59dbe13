package dev.gridtie.base.ready;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ReadinessTest {
  private final AtomicLong now = new AtomicLong();
  private final Readiness readiness = new Readiness(now::get);

  @Test
  void oneFailedCheckMakesItUnreadyAndIsNamedWithItsRemedy() {
    readiness.add(new Check("database", "that it can be written", Finding::ok));
    readiness.add(
        new Check("coin", "that it is the one", () -> Finding.failed("no code", "name another")));
    Report report = readiness.report();
    assertThat(report.isReady()).isFalse();
    assertThat(report.of("database")).contains(Finding.ok());
    assertThat(report.of("coin")).contains(new Finding.Failed("no code", "", "name another"));
  }

  @Test
  void aWarningAndWhatDoesNotApplyLeaveItReady() {
    readiness.add(new Check("disk", "room", () -> new Finding.Warning("little", "1 GiB", "more")));
    readiness.add(new Check("solana", "its coin", () -> new Finding.NotApplicable("not offered")));
    assertThat(readiness.report().isReady()).isTrue();
  }

  @Test
  void whoeverAsksWithinThreeSecondsGetsTheSameReport() {
    AtomicInteger looks = new AtomicInteger();
    readiness.add(
        new Check(
            "chain",
            "that it answers",
            () -> {
              looks.incrementAndGet();
              return Finding.ok();
            }));
    for (int i = 0; i < 100; i++) {
      readiness.report();
    }
    assertThat(looks).hasValue(1);
    now.addAndGet(Readiness.KEPT.toNanos());
    readiness.report();
    assertThat(looks).hasValue(2);
    readiness.now();
    assertThat(looks).hasValue(3);
  }

  @Test
  void aCheckThatHangsIsLateAndIsNotStartedAgainUntilItEnds() throws Exception {
    AtomicInteger looks = new AtomicInteger();
    CountDownLatch end = new CountDownLatch(1);
    Readiness real = new Readiness(System::nanoTime);
    real.add(
        new Check(
            "rpc",
            "that it answers",
            Duration.ofMillis(20),
            () -> {
              looks.incrementAndGet();
              while (end.getCount() > 0) {
                try {
                  end.await();
                } catch (InterruptedException e) {
                  // This one does not listen.
                }
              }
              return Finding.ok();
            }));
    for (int i = 0; i < 3; i++) {
      assertThat(real.now().of("rpc").orElseThrow()).isInstanceOf(Finding.Failed.class);
    }
    assertThat(looks).hasValue(1);
    end.countDown();
    while (!real.now().isReady()) {
      Thread.onSpinWait();
    }
    assertThat(looks.get()).isGreaterThan(1);
  }

  @Test
  void whatAProbeThrowsIsForTheOperatorOnly() {
    readiness.add(
        new Check(
            "database",
            "that it can be read",
            () -> {
              throw new java.sql.SQLException("db.internal:5432 refuses gridtie/hunter2");
            }));
    Finding.Failed failed = (Finding.Failed) readiness.report().of("database").orElseThrow();
    assertThat(failed.reason()).doesNotContain("internal").doesNotContain("hunter2");
    assertThat(failed.detail()).contains("db.internal");
  }

  @Test
  void namesAreUniqueAndDeadlinesUnderASecond() {
    readiness.add(new Check("disk", "room", Finding::ok));
    assertThatThrownBy(() -> readiness.add(new Check("disk", "room", Finding::ok)))
        .hasMessageContaining("disk");
    assertThatThrownBy(() -> new Check("slow", "x", Duration.ofSeconds(1), Finding::ok))
        .hasMessageContaining("deadline");
  }
}
