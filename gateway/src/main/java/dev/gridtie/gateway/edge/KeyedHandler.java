package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.account.Purse;
import dev.gridtie.gateway.account.UsageRow;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.cache.AnswerCache;
import dev.gridtie.gateway.cache.Flight;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.edge.Planner.Planned;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.gateway.watch.Seen;
import dev.gridtie.grid.engine.Place;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.math.BigInteger;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Serves requests that a key pays for, and those that cost nothing: holds the most it can cost,
 * sends it on its way, charges what was given.
 */
final class KeyedHandler {
  private final Services services;
  private final SealMemory memory;

  KeyedHandler(Services services, SealMemory memory) {
    this.services = services;
    this.memory = memory;
  }

  /** Serves a request; returns as soon as it is on its way. */
  void serve(Asked asked, Planned planned, Optional<Account> account) {
    Optional<String> name = cacheName(asked, planned, account);
    Optional<AnswerCache.Kept> kept = name.flatMap(services.cache()::find);
    if (kept.isPresent()) {
      giveKept(asked, planned, kept.get(), account);
    } else {
      serve(asked, planned, account, name);
    }
  }

  private Optional<String> cacheName(Asked asked, Planned planned, Optional<Account> account) {
    boolean pooled = account.flatMap(a -> a.key().limits().pool()).isPresent();
    if (!services.cache().policy().isOn() || pooled) { // what a pool says stays in the pool
      return Optional.empty();
    }
    try {
      return services
          .cache()
          .name(
              account.map(a -> a.key().id()).orElse(""),
              asked.inbound().path() + "?" + asked.inbound().call(),
              Json.parse(asked.body()),
              planned.job().request());
    } catch (Json.MalformedJsonException e) {
      return Optional.empty(); // it was read before; never the case
    }
  }

  /** Gives an answer again, at what a hit costs. */
  private void giveKept(
      Asked asked, Planned planned, AnswerCache.Kept kept, Optional<Account> account) {
    PicoUsd cost = hitPrice(kept.leg().endpoint().prices().cost(kept.usage()));
    Optional<Account.Hold> hold = Optional.empty();
    if (account.isPresent()) {
      Outcome<Account.Hold> held =
          account
              .get()
              .hold(
                  cost,
                  kept.leg().model().id(),
                  Map.of(kept.leg().endpoint().provider(), cost, kept.leg().place(), cost),
                  kept.usage().input());
      if (held instanceof Outcome.Refused<Account.Hold> refused) {
        asked.reply().error(refused.error());
        return;
      }
      hold = Optional.of(((Outcome.Ok<Account.Hold>) held).value());
    }
    String id = newId();
    Outcome<Optional<Purse.Held>> purse = purse(account, id, cost);
    if (purse instanceof Outcome.Refused<Optional<Purse.Held>> refused) {
      hold.ifPresent(Account.Hold::release);
      asked.reply().error(refused.error());
      return;
    }
    Optional<Purse.Held> credits = ((Outcome.Ok<Optional<Purse.Held>>) purse).value();
    Books books = new Books(asked, planned, hold, credits, account, id, true);
    Delivery delivery =
        new Delivery(
            asked, planned.job().stream(), planned.promptEstimate(), services.keepWords(), books);
    delivery.committed(kept.leg());
    delivery.piece(new Piece(kept.body(), null, kept.usage().output()));
    delivery.ended(
        new Ending(
            "length".equals(kept.finish()) ? FinishReason.LENGTH : FinishReason.STOP,
            kept.usage(),
            false,
            Buffer.buffer(),
            List.of()));
  }

  /** Of a key that pays with credits, holds as many as the answer may cost. */
  private Outcome<Optional<Purse.Held>> purse(Optional<Account> account, String id, PicoUsd bound) {
    Optional<String> holder = account.flatMap(a -> a.key().limits().credits());
    return holder.isEmpty() || bound.isZero()
        ? Outcome.ok(Optional.empty())
        : services
            .purse()
            .hold(holder.get(), "gen-" + id, bound)
            .then(held -> Outcome.ok(Optional.of(held)));
  }

  private PicoUsd hitPrice(PicoUsd price) {
    BigInteger percent = BigInteger.valueOf(services.cache().policy().pricePercent());
    return new PicoUsd(price.pico().multiply(percent).divide(BigInteger.valueOf(100)));
  }

  private String newId() {
    return Ids.random("", services.random());
  }

  private void serve(
      Asked asked, Planned planned, Optional<Account> account, Optional<String> cacheName) {
    Outcome<Bounded> bounded = bounded(planned, account);
    switch (bounded) {
      case Outcome.Refused<Bounded> refused -> asked.reply().error(refused.error());
      case Outcome.Ok<Bounded> ok -> start(asked, planned, ok.value(), account, cacheName);
    }
  }

  /** A plan within the key's limits, and what is held for it. */
  private record Bounded(Plan plan, int maxTokens, Optional<Account.Hold> hold) {}

  private Outcome<Bounded> bounded(Planned planned, Optional<Account> account) {
    return limit(planned).then(limit -> bounded(planned, limit, account));
  }

  /**
   * The longest answer: what was asked for, else the longest that anybody in the plan gives. An
   * engine of ours is told exactly, and so its prompt is counted.
   */
  private static Outcome<Integer> limit(Planned planned) {
    if (planned.job().texts().isPresent()) {
      return Outcome.ok(0);
    }
    Optional<Leg> local =
        planned.plan().legs().stream().filter(l -> l.endpoint().isLocal()).findFirst();
    Optional<ChatRequest> request = planned.job().request();
    if (local.isPresent() && request.isPresent()) {
      Endpoint endpoint = local.get().endpoint();
      Integer asked = request.get().maxTokens();
      int bound = PromptBound.of(request.get(), 0);
      if (asked != null && asked > 0 && (long) bound + asked <= endpoint.contextTokens()) {
        return Outcome.ok(asked); // it fits however it is counted, so nobody need count
      }
      return local
          .get()
          .endpoint()
          .channels()
          .getFirst()
          .source()
          .promptTokens(request.get())
          .then(prompt -> MaxTokens.of(request.get(), List.of(local.get()), prompt));
    }
    return Outcome.ok(planned.maxTokens() == 0 ? longest(planned.plan()) : planned.maxTokens());
  }

  private Outcome<Bounded> bounded(Planned planned, int limit, Optional<Account> account) {
    long prompt = planned.promptBound();
    if (account.isEmpty()) {
      return Outcome.ok(new Bounded(planned.plan(), limit, Optional.empty()));
    }
    if (!services.usage().hasRoom()) {
      return Outcome.refused(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "ledger_unavailable",
              "Charges cannot be written down now. Nothing was charged; try again soon."));
    }
    List<Leg> affordable =
        planned.plan().legs().stream()
            .filter(
                l ->
                    account
                        .get()
                        .allows(
                            l.places(),
                            l.endpoint().prices().bound(prompt, planned.answerBound(limit))))
            .toList();
    List<Leg> legs = affordable.isEmpty() ? planned.plan().legs() : affordable;
    Plan plan = new Plan(legs, planned.plan().hedge(), planned.plan().heads());
    PicoUsd bound = plan.bound(prompt, planned.answerBound(limit));
    return account
        .get()
        .hold(
            bound,
            plan.first().model().id(),
            plan.placeBounds(prompt, planned.answerBound(limit)),
            planned.promptEstimate())
        .then(hold -> Outcome.ok(new Bounded(plan, limit, Optional.of(hold))));
  }

  /** The longest answer that anybody in the plan may give to a request that names no limit. */
  private static int longest(Plan plan) {
    return plan.legs().stream()
        .map(Leg::endpoint)
        .mapToInt(Endpoint::maxCompletionTokens)
        .max()
        .orElse(0);
  }

  private void start(
      Asked asked,
      Planned planned,
      Bounded bounded,
      Optional<Account> account,
      Optional<String> cacheName) {
    String id = newId();
    PicoUsd bound = bounded.hold().map(Account.Hold::amount).orElse(PicoUsd.ZERO);
    Outcome<Optional<Purse.Held>> purse = purse(account, id, bound);
    if (purse instanceof Outcome.Refused<Optional<Purse.Held>> refused) {
      bounded.hold().ifPresent(Account.Hold::release);
      asked.reply().error(refused.error());
      return;
    }
    Optional<Purse.Held> credits = ((Outcome.Ok<Optional<Purse.Held>>) purse).value();
    long created = services.clock().instant().getEpochSecond();
    Job job = planned.job();
    Long seed = job.request().map(r -> r.sampling().seed()).orElse(null);
    boolean local = bounded.plan().legs().stream().anyMatch(l -> l.endpoint().isLocal());
    Job ready =
        job.at(
                Place.LAST.withPriority(
                    account.map(a -> services.purse().priority(a.key())).orElse(0)))
            .withSeed(seed == null ? services.random().nextLong() : seed)
            .withLimit(local ? bounded.maxTokens() : 0)
            .within(new Job.Bound(planned.promptBound(), planned.answerBound(bounded.maxTokens())));
    Plan plan = bounded.plan().withHeads(Heads.of(asked.inbound(), ready, id, created));
    Optional<AnswerCache.Joined> joined = cacheName.map(services.cache()::join);
    boolean hit = joined.isPresent() && !joined.get().first();
    Books books = new Books(asked, planned, bounded.hold(), credits, account, id, hit);
    Delivery delivery =
        new Delivery(asked, job.stream(), planned.promptEstimate(), services.keepWords(), books);
    bounded.hold().ifPresent(h -> h.whenRefused(error -> asked.onLoop(() -> delivery.stop(error))));
    // On the loop of the client's connection, so that bytes need not change threads.
    if (joined.isEmpty()) {
      asked.onLoop(() -> delivery.running(services.relay().run(plan, ready, delivery)));
      return;
    }
    Flight flight = joined.get().flight();
    if (joined.get().first()) {
      asked.context().runOnContext(v -> flight.running(services.relay().run(plan, ready, flight)));
    }
    follow(flight, delivery, hit);
  }

  /**
   * Hands on an answer that several wait for. Who asked for it first pays for what it has used
   * where that one leaves; the others for what they were given.
   */
  private static void follow(Flight flight, Delivery delivery, boolean hit) {
    AtomicBoolean left = new AtomicBoolean();
    Runnable leave =
        () -> {
          if (left.compareAndSet(false, true)) {
            flight.leave();
          }
        };
    delivery.running(
        new Running() {
          @Override
          public void cancel() {
            leave.run();
          }

          @Override
          public Usage spent() {
            Leg asked = flight.toAnswer();
            if (asked != null) {
              delivery.asked(asked);
            }
            return hit ? Usage.NONE : flight.spent();
          }
        });
    try {
      int read = 0;
      while (true) {
        switch (flight.answer().await(read)) {
          case Answer.Next.Text text -> {
            Leg leg = flight.leg();
            if (read == 0 && leg != null) {
              delivery.committed(leg);
              delivery.begun(flight.answer().beginning());
            }
            text.pieces().forEach(delivery::piece);
            read += text.pieces().size();
          }
          case Answer.Next.Ended ended -> {
            Leg leg = flight.leg();
            if (leg != null) {
              delivery.committed(leg);
            }
            switch (ended.end()) {
              case Answer.End.Whole whole -> delivery.ended(whole.ending());
              case Answer.End.Broken broken -> delivery.failed(broken.failure());
            }
            return;
          }
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      leave.run();
    }
  }

  /** Keeps a request's books: the charge, the row for those who ask later, what to remember. */
  private final class Books implements Delivery.Account {
    private final Asked asked;
    private final Planned planned;
    private final Optional<Account.Hold> hold;
    private final Optional<Purse.Held> credits;
    private final Optional<Account> account;
    private final String id;
    private final boolean hit;

    /**
     * @param hit whether the answer was made for somebody else, or before
     */
    Books(
        Asked asked,
        Planned planned,
        Optional<Account.Hold> hold,
        Optional<Purse.Held> credits,
        Optional<Account> account,
        String id,
        boolean hit) {
      this.credits = credits;
      this.asked = asked;
      this.planned = planned;
      this.hold = hold;
      this.account = account;
      this.id = id;
      this.hit = hit;
    }

    @Override
    public void headers(Reply reply, Leg leg) {
      reply.header("X-Generation-Id", "gen-" + id);
      if (services.cache().policy().isOn()) {
        reply.header("X-Gridtie-Cache", hit ? "hit" : "miss");
      }
    }

    @Override
    public void ended(Delivery.Result result) {
      Leg leg = result.leg();
      String keyId = account.map(a -> a.key().id()).orElse("");
      if (leg == null) {
        hold.ifPresent(Account.Hold::release);
        credits.ifPresent(services.usage()::release);
        services.watch().over(seen(result, null, keyId, PicoUsd.ZERO));
      } else {
        PicoUsd full = leg.endpoint().prices().cost(result.usage());
        PicoUsd due = hit ? hitPrice(full) : full;
        boolean nothing = result.usage().output() == 0 && result.usage().input() == 0;
        PicoUsd cost = nothing ? PicoUsd.ZERO : hold.map(h -> due.min(h.amount())).orElse(due);
        long tokens = result.usage().input() + result.usage().output();
        hold.ifPresent(h -> h.charge(cost, leg.places(), tokens));
        if (account.isPresent()) {
          PicoUsd takes = hit ? PicoUsd.ZERO : leg.endpoint().costs().cost(result.usage());
          services.usage().add(row(result, leg, keyId, cost), credits, takes);
        }
        services.watch().over(seen(result, leg, keyId, cost));
        if ("ok".equals(result.outcome())) {
          services.affinity().served(planned.conversation(), leg.endpoint());
        }
      }
      if (result.ending() != null && !result.ending().parts().isEmpty()) {
        memory.remember(keyId, result.ending().parts());
      }
    }

    private String outcome(Delivery.Result result) {
      return hit && result.outcome().equals("ok") ? "cached" : result.outcome();
    }

    private Seen seen(Delivery.Result result, @Nullable Leg leg, String keyId, PicoUsd cost) {
      asked.reply().noted();
      long now = System.nanoTime();
      long first = result.firstByteNanos() == 0 ? now : result.firstByteNanos();
      long totalMs = Duration.ofNanos(now - asked.receivedNanos()).toMillis();
      return new Seen(
          "gen-" + id,
          services.clock().instant().minusMillis(totalMs),
          asked.inbound().path(),
          asked.inbound().translator().dialect().label(),
          keyId,
          planned.plan().first().model().id(),
          leg == null ? "" : leg.endpoint().provider(),
          leg == null ? "" : leg.endpoint().dialect().map(Dialect::label).orElse("engine"),
          planned.job().stream(),
          result.usage(),
          cost,
          result.finish(),
          outcome(result),
          Duration.ofNanos(first - asked.receivedNanos()).toMillis(),
          totalMs,
          services.keepWords() ? words(result) : null);
    }

    private Seen.Words words(Delivery.Result result) {
      byte[] body = asked.body();
      String text = new String(body, 0, Math.min(body.length, Seen.WORDS_MAX), UTF_8);
      return new Seen.Words(text, result.said());
    }

    private UsageRow row(Delivery.Result result, Leg leg, String keyId, PicoUsd cost) {
      long now = System.nanoTime();
      long first = result.firstByteNanos() == 0 ? now : result.firstByteNanos();
      return new UsageRow(
          "gen-" + id,
          keyId,
          services.clock().instant(),
          leg.model().id(),
          leg.endpoint().provider(),
          leg.endpoint().id(),
          asked.inbound().translator().dialect().label(),
          planned.job().stream(),
          result.usage(),
          cost,
          result.finish(),
          Duration.ofNanos(first - asked.receivedNanos()).toMillis(),
          Duration.ofNanos(now - asked.receivedNanos()).toMillis(),
          outcome(result));
    }
  }
}
