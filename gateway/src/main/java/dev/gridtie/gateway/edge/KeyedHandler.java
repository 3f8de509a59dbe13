package dev.gridtie.gateway.edge;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.account.UsageRow;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.edge.Planner.Planned;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * Serves requests that a key pays for, and those that cost nothing: holds the most it can cost,
 * sends it on its way, charges what was given.
 */
final class KeyedHandler {
  /** What an image may count as where nothing better is known. */
  private static final int IMAGE_TOKENS_MAX = 4096;

  private final Services services;
  private final SealMemory memory;

  KeyedHandler(Services services, SealMemory memory) {
    this.services = services;
    this.memory = memory;
  }

  /** Serves a request; returns as soon as it is on its way. */
  void serve(Asked asked, Planned planned, Optional<Account> account) {
    long prompt =
        planned
            .job()
            .request()
            .map(r -> (long) PromptBound.of(r, IMAGE_TOKENS_MAX))
            .orElse((long) asked.body().length);
    Outcome<Bounded> bounded = bounded(planned, prompt, account);
    switch (bounded) {
      case Outcome.Refused<Bounded> refused -> asked.reply().error(refused.error());
      case Outcome.Ok<Bounded> ok -> start(asked, planned, ok.value(), account);
    }
  }

  /** A plan within the key's limits, and what is held for it. */
  private record Bounded(Plan plan, int maxTokens, Optional<Account.Hold> hold) {}

  private Outcome<Bounded> bounded(Planned planned, long prompt, Optional<Account> account) {
    Optional<ChatRequest> request = planned.job().request();
    Integer asked = request.map(ChatRequest::maxTokens).orElse(null);
    int limit = asked == null ? longest(planned.plan()) : asked;
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
                        .allowsProvider(
                            l.endpoint().provider(), l.endpoint().prices().bound(prompt, limit)))
            .toList();
    List<Leg> legs = affordable.isEmpty() ? planned.plan().legs() : affordable;
    Plan plan = new Plan(legs, planned.plan().hedge(), planned.plan().heads());
    PicoUsd bound = plan.bound(prompt, limit);
    long expected = request.map(PromptBound::estimate).orElse(prompt);
    return account
        .get()
        .hold(bound, plan.first().model().id(), plan.providers(), expected)
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

  private void start(Asked asked, Planned planned, Bounded bounded, Optional<Account> account) {
    String id = Ids.random("", services.random());
    long created = services.clock().instant().getEpochSecond();
    Job job = planned.job();
    Long seed = job.request().map(r -> r.sampling().seed()).orElse(null);
    boolean local = bounded.plan().legs().stream().anyMatch(l -> l.endpoint().isLocal());
    Job ready =
        job.withSeed(seed == null ? services.random().nextLong() : seed)
            .withLimit(local ? bounded.maxTokens() : 0);
    Plan plan = bounded.plan().withHeads(Heads.of(asked.inbound(), ready, id, created));
    Delivery delivery =
        new Delivery(
            asked,
            job.stream(),
            job.request(),
            new Books(asked, planned, bounded.hold(), account, id));
    // On the loop of the client's connection, so that bytes need not change threads.
    asked
        .context()
        .runOnContext(v -> delivery.running(services.relay().run(plan, ready, delivery)));
  }

  /** Keeps a request's books: the charge, the row for those who ask later, what to remember. */
  private final class Books implements Delivery.Account {
    private final Asked asked;
    private final Planned planned;
    private final Optional<Account.Hold> hold;
    private final Optional<Account> account;
    private final String id;

    Books(
        Asked asked,
        Planned planned,
        Optional<Account.Hold> hold,
        Optional<Account> account,
        String id) {
      this.asked = asked;
      this.planned = planned;
      this.hold = hold;
      this.account = account;
      this.id = id;
    }

    @Override
    public void headers(Reply reply, Leg leg) {
      reply.header("X-Generation-Id", "gen-" + id);
    }

    @Override
    public void ended(Delivery.Result result) {
      Leg leg = result.leg();
      String keyId = account.map(a -> a.key().id()).orElse("");
      if (leg == null) {
        hold.ifPresent(Account.Hold::release);
      } else {
        PicoUsd due = leg.endpoint().prices().cost(result.usage());
        boolean nothing = result.usage().output() == 0 && result.usage().input() == 0;
        PicoUsd cost = nothing ? PicoUsd.ZERO : hold.map(h -> due.min(h.amount())).orElse(due);
        long tokens = result.usage().input() + result.usage().output();
        hold.ifPresent(h -> h.charge(cost, leg.endpoint().provider(), tokens));
        if (account.isPresent()) {
          services.usage().add(row(result, leg, keyId, cost));
        }
        if ("ok".equals(result.outcome())) {
          services.affinity().served(planned.conversation(), leg.endpoint());
        }
      }
      if (result.ending() != null && !result.ending().parts().isEmpty()) {
        memory.remember(keyId, result.ending().parts());
      }
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
          asked.inbound().translator().dialect().label(),
          planned.job().stream(),
          result.usage(),
          cost,
          result.finish(),
          Duration.ofNanos(first - asked.receivedNanos()).toMillis(),
          Duration.ofNanos(now - asked.receivedNanos()).toMillis(),
          result.outcome());
    }
  }
}
