package dev.gridtie.gateway.gate;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Whether payments in a coin may be taken: only once its chain has confirmed what is configured of
 * it, for with wrong decimals every price is wrong. A chain that is out of reach takes no
 * confirmation back; a chain that contradicts does. State: the last answer, written by whoever
 * asks, read by many.
 */
public final class CoinClearance implements AutoCloseable {
  /** How often a chain that is out of reach is asked again, at first and at most. */
  private static final Duration RETRY_MIN = Duration.ofMillis(250);

  private static final Duration RETRY_MAX = Duration.ofSeconds(10);

  /** How often a coin that was confirmed is looked at again: its contract may be replaced. */
  private static final Duration AGAIN = Duration.ofMinutes(10);

  /** What the chain says of a coin. */
  @FunctionalInterface
  public interface Facts {
    /**
     * Asks the chain; {@link Finding.Failed} where the configuration contradicts it.
     *
     * @throws UnreachableException where it says nothing
     */
    Finding ask() throws UnreachableException;
  }

  private final String coin;
  private final Facts facts;
  private volatile Finding last;
  private volatile boolean closed;
  private final Thread background;

  /** Whether the chain itself has said what {@code last} is. */
  private volatile boolean answered;

  /**
   * @param coin names it: its network and address
   */
  public CoinClearance(String coin, Facts facts) {
    this.coin = coin;
    this.facts = facts;
    this.last = notYet("");
    this.background = Thread.ofVirtual().name("clearance").unstarted(this::run);
  }

  private static Finding notYet(String why) {
    return new Finding.Failed(
        "the chain has not confirmed this coin yet; payments in it are not taken",
        why,
        "see that the node behind chain.rpc runs and can be reached");
  }

  /** Its network and address. */
  public String coin() {
    return coin;
  }

  /** Asks the chain now; what it says, or what it said before where it says nothing now. */
  public Finding ask() {
    try {
      Finding said = facts.ask();
      last = said;
      answered = true;
    } catch (UnreachableException e) {
      if (!answered) {
        last = notYet(String.valueOf(e.getMessage()));
      }
    }
    return last;
  }

  /**
   * Asks for all of them at once, and waits for what is said in time.
   *
   * @param patience after which those that have not answered go on by themselves
   */
  public static void askAll(List<CoinClearance> coins, Duration patience) {
    List<CompletableFuture<Finding>> asked = new ArrayList<>();
    for (CoinClearance coin : coins) {
      CompletableFuture<Finding> said = new CompletableFuture<>();
      asked.add(said);
      Thread unused = Thread.ofVirtual().start(() -> said.complete(coin.ask()));
    }
    Void unused =
        CompletableFuture.allOf(asked.toArray(new CompletableFuture<?>[0]))
            .completeOnTimeout(null, patience.toMillis(), TimeUnit.MILLISECONDS)
            .join();
  }

  /** Whether payments may be taken. */
  public boolean isCleared() {
    return last.isPassed();
  }

  /** What the chain contradicts; empty where it has confirmed, or has said nothing yet. */
  public Optional<Finding.Failed> contradiction() {
    return answered && last instanceof Finding.Failed failed
        ? Optional.of(failed)
        : Optional.empty();
  }

  /** Goes on asking in the background. Once. */
  public void start() {
    background.start();
  }

  private void run() {
    Duration retry = RETRY_MIN;
    try {
      while (!closed) {
        Thread.sleep(isCleared() ? AGAIN : retry);
        Finding before = last;
        Finding said = ask();
        if (!said.equals(before)) {
          tell(said);
        }
        retry = retry.multipliedBy(2).compareTo(RETRY_MAX) < 0 ? retry.multipliedBy(2) : RETRY_MAX;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // closed
    }
  }

  private void tell(Finding said) {
    String what =
        switch (said) {
          case Finding.Failed failed ->
              "no payments are taken: " + failed.reason() + ". Remedy: " + failed.remedy();
          default -> "its chain has confirmed it; payments are taken";
        };
    System.err.println("gridtie: coin " + coin + ": " + what);
  }

  /** What readiness says of it: what is known, without asking the chain. */
  public Check check() {
    return new Check(
        "coin " + coin,
        "that contract, decimals and EIP-712 domain are those that are configured",
        () -> last);
  }

  @Override
  public void close() {
    closed = true;
    background.interrupt();
  }
}
