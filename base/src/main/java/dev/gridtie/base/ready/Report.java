package dev.gridtie.base.ready;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What all checks have found together.
 *
 * @param results in the order in which the checks were added
 */
public record Report(List<Result> results) {
  /** What one check has found. */
  public record Result(Check check, Finding finding, Duration took) {}

  public Report {
    results = List.copyOf(results);
  }

  /** Whether a paid request would succeed. */
  public boolean isReady() {
    return results.stream().allMatch(r -> r.finding().isPassed());
  }

  /** What the check of this name has found. */
  public Optional<Finding> of(String name) {
    return results.stream()
        .filter(r -> r.check().name().equals(name))
        .map(Result::finding)
        .findFirst();
  }
}
