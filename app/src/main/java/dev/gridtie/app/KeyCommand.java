package dev.gridtie.app;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.account.UsageStore;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.nio.file.Files;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.LocalDate;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie key}: makes and revokes the keys that open a gateway. */
@Command(
    name = "key",
    mixinStandardHelpOptions = true,
    description = {
      "Makes, lists, shows and revokes keys. A key lets its holder call any model of the gateway without paying each call;"
          + " what it spends is written into the ledger, and its limits hold however many calls come at once.",
      "A running gateway learns of a change within a second."
    },
    subcommands = {
      KeyCommand.Create.class,
      KeyCommand.ListKeys.class,
      KeyCommand.Show.class,
      KeyCommand.Revoke.class
    })
final class KeyCommand {
  private static KeyStore open(Main.HomeOption home) throws IOException {
    home.get().create();
    return KeyStore.open(home.get().ledger());
  }

  /** {@code gridtie key create}. */
  @Command(
      name = "create",
      mixinStandardHelpOptions = true,
      description =
          "Makes a key and prints it on the last line. It is shown this once: only its hash is kept.")
  static final class Create implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "NAME", description = "Whose key it is, for you to know.")
    private String name = "";

    @Option(names = "--limit-usd", paramLabel = "USD", description = "The most it may ever spend.")
    private @Nullable String limit;

    @Option(names = "--limit-usd-day", paramLabel = "USD", description = "In a day (UTC).")
    private @Nullable String day;

    @Option(names = "--limit-usd-month", paramLabel = "USD", description = "In a month (UTC).")
    private @Nullable String month;

    @Option(
        names = "--limit-usd-model",
        paramLabel = "MODEL=USD",
        description = "On one model; may be given several times.")
    private Map<String, String> models = new LinkedHashMap<>();

    @Option(
        names = "--limit-usd-provider",
        paramLabel = "PROVIDER=USD",
        description = "At one provider; may be given several times.")
    private Map<String, String> providers = new LinkedHashMap<>();

    @Option(
        names = "--limit-usd-endpoint",
        paramLabel = "MODEL@ENDPOINT=USD",
        description =
            "At one endpoint of a model, by the tag that GET /api/v1/models/MODEL/endpoints shows; may be given several times.")
    private Map<String, String> endpoints = new LinkedHashMap<>();

    @Option(
        names = "--credits",
        paramLabel = "HOLDER",
        description =
            "The key pays with this holder's credits, at the gateway's rate, instead of being billed in dollars.")
    private @Nullable String credits;

    @Option(
        names = "--pool",
        paramLabel = "POOL",
        description =
            "Only this pool's nodes ever answer the key's requests: nothing of them leaves the pool.")
    private @Nullable String pool;

    @Option(names = "--requests-per-minute", paramLabel = "N", description = "Default: no limit.")
    private int requests;

    @Option(
        names = "--tokens-per-minute",
        paramLabel = "N",
        description = "Sent and received together. Default: no limit.")
    private int tokens;

    @Override
    public Integer call() throws IOException {
      if (name.isBlank() || name.length() > 100) {
        throw new Main.Failure("NAME must have 1 to 100 characters");
      }
      if (requests < 0 || tokens < 0) {
        throw new Main.Failure(
            "--requests-per-minute and --tokens-per-minute must not be negative");
      }
      for (String endpoint : endpoints.keySet()) {
        if (!endpoint.matches("[^@]+@[^@]+")) {
          throw new Main.Failure(
              "--limit-usd-endpoint must be MODEL@ENDPOINT=USD, not " + endpoint + "=…");
        }
      }
      Map<String, PicoUsd> places = usds("--limit-usd-provider", providers);
      places.putAll(usds("--limit-usd-endpoint", endpoints));
      KeyLimits limits =
          new KeyLimits(
              usd("--limit-usd", limit),
              usd("--limit-usd-day", day),
              usd("--limit-usd-month", month),
              usds("--limit-usd-model", models),
              places,
              requests,
              tokens);
      if (credits != null) {
        try {
          AccountId unused = Credits.holder(credits);
        } catch (IllegalArgumentException e) {
          throw new Main.Failure("--credits: " + e.getMessage());
        }
        limits = limits.paidFrom(credits);
      }
      if (pool != null) {
        try (PoolStore pools = PoolStore.open(home.get().ledger())) {
          if (pools.find(pool).filter(p -> !p.closed()).isEmpty()) {
            throw new Main.Failure("there is no open pool '" + pool + "'; see gridtie pool list");
          }
        }
        limits = limits.within(pool);
      }
      try (KeyStore store = open(home)) {
        ApiKey.Fresh fresh = ApiKey.create(name, limits, Instant.now(), new SecureRandom());
        if (!store.add(fresh.key())) {
          throw new Main.Failure(
              "there is a key named '" + name + "' already; revoked keys keep their names");
        }
        System.out.println(
            "Key " + fresh.key().id() + " for " + name + ". Keep it: it is not shown again.");
        System.out.println(fresh.secret().reveal());
        return 0;
      }
    }

    private static Optional<PicoUsd> usd(String option, @Nullable String value) {
      if (value == null) {
        return Optional.empty();
      }
      try {
        return Optional.of(PicoUsd.ofDollars(value));
      } catch (IllegalArgumentException e) {
        throw new Main.Failure(option + " must be dollars, such as 1 or 0.50, not " + value);
      }
    }

    private static Map<String, PicoUsd> usds(String option, Map<String, String> values) {
      Map<String, PicoUsd> parsed = new LinkedHashMap<>();
      values.forEach((name, value) -> parsed.put(name, usd(option, value).orElseThrow()));
      return parsed;
    }
  }

  /** What a key has spent, from the ledger's rows. */
  private record Spent(PicoUsd total, PicoUsd day, PicoUsd month, long requests) {
    static final Spent NOTHING = new Spent(PicoUsd.ZERO, PicoUsd.ZERO, PicoUsd.ZERO, 0);

    Spent plus(PicoUsd cost, Instant when) {
      LocalDate today = LocalDate.now(ZoneOffset.UTC);
      LocalDate then = LocalDate.ofInstant(when, ZoneOffset.UTC);
      return new Spent(
          total.plus(cost),
          then.equals(today) ? day.plus(cost) : day,
          YearMonth.from(then).equals(YearMonth.from(today)) ? month.plus(cost) : month,
          requests + 1);
    }
  }

  private static Map<String, Spent> spent(Home home) throws IOException {
    Map<String, Spent> spent = new LinkedHashMap<>();
    Location where = home.ledger();
    if (where instanceof Location.OnFile file && !Files.exists(file.file())) {
      return spent;
    }
    return Verifier.read(
        where,
        c -> {
          UsageStore.forEach(
              c,
              row ->
                  spent.merge(
                      row.keyId(),
                      Spent.NOTHING.plus(row.cost(), row.time()),
                      (a, b) -> a.plus(row.cost(), row.time())));
          return spent;
        });
  }

  private static String limit(Optional<PicoUsd> limit) {
    return limit.map(PicoUsd::toString).orElse("none");
  }

  /** {@code gridtie key list}. */
  @Command(
      name = "list",
      mixinStandardHelpOptions = true,
      description = "Lists all keys, what they may spend and what they have.")
  static final class ListKeys implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() throws IOException {
      try (KeyStore store = open(home)) {
        Map<String, Spent> spent = spent(home.get());
        System.out.printf(
            "%-24s %-16s %-14s %-14s %9s  %s%n", "NAME", "KEY", "LIMIT", "SPENT", "REQUESTS", "");
        for (ApiKey key : store.all()) {
          Spent s = spent.getOrDefault(key.id(), Spent.NOTHING);
          System.out.printf(
              "%-24s %-16s %-14s %-14s %9d  %s%n",
              key.name(),
              key.label(),
              limit(key.limits().total()),
              s.total(),
              s.requests(),
              key.revoked() ? "revoked" : "");
        }
        return 0;
      }
    }
  }

  /** {@code gridtie key show}. */
  @Command(
      name = "show",
      mixinStandardHelpOptions = true,
      description = "Shows one key: its limits, and what it has spent of them.")
  static final class Show implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "NAME", description = "The key's name or id.")
    private String name = "";

    @Override
    public Integer call() throws IOException {
      try (KeyStore store = open(home)) {
        ApiKey key =
            store.find(name).orElseThrow(() -> new Main.Failure("there is no key '" + name + "'"));
        Spent s = spent(home.get()).getOrDefault(key.id(), Spent.NOTHING);
        KeyLimits limits = key.limits();
        System.out.println("name       " + key.name() + (key.revoked() ? " (revoked)" : ""));
        System.out.println("id         " + key.id());
        System.out.println("key        " + key.label());
        System.out.println("created    " + key.created());
        limits.pool().ifPresent(p -> System.out.println("pool       " + p));
        System.out.println("requests   " + s.requests());
        System.out.println("spent      " + s.total() + ", limit " + limit(limits.total()));
        System.out.println("today      " + s.day() + ", limit " + limit(limits.day()));
        System.out.println("month      " + s.month() + ", limit " + limit(limits.month()));
        limits.models().forEach((m, v) -> System.out.println("model      " + m + ", limit " + v));
        limits
            .places()
            .forEach(
                (p, v) ->
                    System.out.println(
                        (p.contains("@") ? "endpoint   " : "provider   ") + p + ", limit " + v));
        System.out.println(
            "a minute   "
                + (limits.requestsPerMinute() == 0 ? "any" : limits.requestsPerMinute())
                + " requests, "
                + (limits.tokensPerMinute() == 0 ? "any" : limits.tokensPerMinute())
                + " tokens");
        return 0;
      }
    }
  }

  /** {@code gridtie key revoke}. */
  @Command(
      name = "revoke",
      mixinStandardHelpOptions = true,
      description = "Revokes a key: it opens nothing any more, from the next second on.")
  static final class Revoke implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "NAME", description = "The key's name or id.")
    private String name = "";

    @Override
    public Integer call() throws IOException {
      try (KeyStore store = open(home)) {
        if (!store.revoke(name)) {
          throw new Main.Failure("there is no key '" + name + "' that could be revoked");
        }
        System.out.println("Revoked " + name + ".");
        return 0;
      }
    }
  }
}
