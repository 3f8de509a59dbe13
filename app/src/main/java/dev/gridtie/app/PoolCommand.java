package dev.gridtie.app;

import dev.gridtie.base.Ids;
import dev.gridtie.gateway.nodes.Invitation;
import dev.gridtie.gateway.nodes.Pool;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.gateway.nodes.Standing;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Files;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie pool}: private pools of nodes. */
@Command(
    name = "pool",
    mixinStandardHelpOptions = true,
    description = {
      "Makes private pools of nodes, invites nodes into them, and shows what they have done.",
      "A key that is bound to a pool (gridtie key create --pool) is answered by its nodes alone. docs/pools.md is the guide."
    },
    subcommands = {
      PoolCommand.Create.class,
      PoolCommand.ListPools.class,
      PoolCommand.Invite.class,
      PoolCommand.Members.class,
      PoolCommand.Revoke.class,
      PoolCommand.Close.class,
      PoolCommand.Statement.class
    })
final class PoolCommand {
  private static PoolStore open(Main.HomeOption home) throws IOException {
    home.get().create();
    return PoolStore.open(home.get().ledger());
  }

  private static Pool pool(PoolStore store, String name) {
    return store
        .find(name)
        .orElseThrow(
            () -> new Main.Failure("there is no pool '" + name + "'; see gridtie pool list"));
  }

  /** {@code gridtie pool create}. */
  @Command(name = "create", mixinStandardHelpOptions = true, description = "Makes a pool.")
  static final class Create implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "NAME", description = "1 to 32 of a-z, 0-9 and -.")
    private String name = "";

    @Option(
        names = "--shared",
        description =
            "What its nodes earn is the pool's: holder pool:NAME. Default: each node's own.")
    private boolean shared;

    @Option(
        names = "--pending",
        description =
            "Keep earnings pending until work is verified. Default: you vouch for your members, and they are paid at once.")
    private boolean pending;

    @Override
    public Integer call() throws IOException {
      Pool made;
      try {
        made = new Pool(name, shared, !pending, Instant.now(), false);
      } catch (IllegalArgumentException e) {
        throw new Main.Failure(String.valueOf(e.getMessage()));
      }
      try (PoolStore store = open(home)) {
        if (!store.add(made)) {
          throw new Main.Failure("there is a pool named '" + name + "' already");
        }
      }
      System.out.println("Pool " + name + " is there. Next:");
      System.out.println("  ./gridtie pool invite " + name + " --label \"Ada's workstation\"");
      System.out.println("  ./gridtie key create ada --pool " + name);
      return 0;
    }
  }

  /** {@code gridtie pool list}. */
  @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists all pools.")
  static final class ListPools implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() throws IOException {
      try (PoolStore store = open(home)) {
        System.out.printf("%-32s %-8s %-9s %s%n", "POOL", "MEMBERS", "EARNINGS", "STATE");
        for (Pool pool : store.pools()) {
          long members =
              store.invitations(pool.name()).stream()
                  .filter(i -> !i.revoked() && !i.node().isEmpty())
                  .count();
          System.out.printf(
              "%-32s %-8d %-9s %s%n",
              pool.name(),
              members,
              (pool.shared() ? "shared" : "own") + (pool.vouched() ? "" : ", pending"),
              pool.closed() ? "closed" : "open");
        }
      }
      return 0;
    }
  }

  /** {@code gridtie pool invite}. */
  @Command(
      name = "invite",
      mixinStandardHelpOptions = true,
      description = {
        "Makes an invitation for one node, signed by this gateway, and prints it on the last line.",
        "The node joins with gridtie node --invitation INVITATION."
      })
  static final class Invite implements Callable<Integer> {
    private static final int DAYS_MAX = 365;

    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "POOL", description = "The pool's name.")
    private String name = "";

    @Option(
        names = "--label",
        paramLabel = "TEXT",
        defaultValue = "",
        description = "Whom it is for, for you to know.")
    private String label = "";

    @Option(
        names = "--days",
        paramLabel = "N",
        defaultValue = "7",
        description = "In which it must be used (default: ${DEFAULT-VALUE}); a member stays one.")
    private int days;

    @Option(
        names = "--url",
        paramLabel = "URL",
        description =
            "Under which nodes reach this gateway (default: the one that ./gridtie up started).")
    private @Nullable String url;

    @Override
    public Integer call() throws IOException {
      if (days < 1 || days > DAYS_MAX || label.length() > 100) {
        throw new Main.Failure("--days is from 1 to 365, and --label at most 100 characters");
      }
      String gateway = url;
      if (gateway == null) {
        if (!Files.exists(home.get().upJson())) {
          throw new Main.Failure("say with --url under which nodes reach this gateway");
        }
        gateway = UpFile.read(home.get()).gateway().toString();
      }
      NodeCommand.requireUrl("--url", gateway);
      try (PoolStore store = open(home)) {
        if (pool(store, name).closed()) {
          throw new Main.Failure("the pool '" + name + "' is closed");
        }
        Instant now = Instant.now();
        Invitation invitation =
            new Invitation(
                Ids.random("inv-", new SecureRandom()),
                name,
                URI.create(gateway).toString(),
                now.plus(Duration.ofDays(days)));
        store.add(
            new PoolStore.Kept(invitation.id(), name, label, "", invitation.expires(), false), now);
        System.out.println(
            "Invitation "
                + invitation.id()
                + " into "
                + name
                + ", for one node, "
                + days
                + " days:");
        System.out.println(invitation.signedBy(home.get().receiptKey().getPrivate()));
      }
      return 0;
    }
  }

  /** {@code gridtie pool members}. */
  @Command(
      name = "members",
      mixinStandardHelpOptions = true,
      description = "Lists a pool's invitations, and the nodes that have used them.")
  static final class Members implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "POOL", description = "The pool's name.")
    private String name = "";

    @Override
    public Integer call() throws IOException {
      try (PoolStore store = open(home)) {
        Pool unused = pool(store, name);
        Instant now = Instant.now();
        for (PoolStore.Kept i : store.invitations(name)) {
          String state =
              i.revoked()
                  ? "revoked"
                  : !i.node().isEmpty()
                      ? "member"
                      : i.expires().isBefore(now) ? "expired" : "not used yet";
          System.out.printf(
              "%s  %-12s %-42s %s%n",
              i.id(), state, i.node().isEmpty() ? "-" : i.node(), i.label());
        }
      }
      return 0;
    }
  }

  /** {@code gridtie pool revoke}. */
  @Command(
      name = "revoke",
      mixinStandardHelpOptions = true,
      description = "Revokes invitations: their nodes are let go within a few seconds.")
  static final class Revoke implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(index = "0", paramLabel = "POOL", description = "The pool's name.")
    private String name = "";

    @Parameters(
        index = "1",
        paramLabel = "WHICH",
        description = "An invitation's id or label, or a node's address.")
    private String which = "";

    @Override
    public Integer call() throws IOException {
      try (PoolStore store = open(home)) {
        Pool unused = pool(store, name);
        int revoked = which.isEmpty() ? 0 : store.revoke(name, which);
        if (revoked == 0) {
          throw new Main.Failure(
              "there is no invitation '" + which + "' to revoke; see gridtie pool members " + name);
        }
        System.out.println(
            "Revoked " + revoked + (revoked == 1 ? " invitation." : " invitations."));
      }
      return 0;
    }
  }

  /** {@code gridtie pool close}. */
  @Command(
      name = "close",
      mixinStandardHelpOptions = true,
      description = "Closes a pool for good: its nodes are let go, and its keys find nobody.")
  static final class Close implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "POOL", description = "The pool's name.")
    private String name = "";

    @Override
    public Integer call() throws IOException {
      try (PoolStore store = open(home)) {
        if (!store.close(name)) {
          throw new Main.Failure("there is no open pool '" + name + "'");
        }
        System.out.println("Closed " + name + ".");
      }
      return 0;
    }
  }

  /** {@code gridtie pool statement}. */
  @Command(
      name = "statement",
      mixinStandardHelpOptions = true,
      description = "Shows what each member of a pool has done and earned, and the shared balance.")
  static final class Statement implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "POOL", description = "The pool's name.")
    private String name = "";

    @Override
    public Integer call() throws IOException {
      Pool pool;
      List<PoolStore.Kept> invitations;
      try (PoolStore store = open(home)) {
        pool = pool(store, name);
        invitations = store.invitations(name);
      }
      var ledger = home.ledger();
      List<Standing> all = Verifier.read(ledger, c -> Standing.all(c, name));
      System.out.printf(
          "%-42s %10s %8s %16s %16s  %s%n",
          "NODE", "TOKENS", "PARTS", "CREDITS", "PENDING", "LABEL");
      for (Standing s : all) {
        String label =
            invitations.stream()
                .filter(i -> i.node().equals(s.node()))
                .map(PoolStore.Kept::label)
                .findFirst()
                .orElse("");
        System.out.printf(
            "%-42s %10d %8d %16s %16s  %s%n",
            s.node(),
            s.tokens(),
            s.parts(),
            Credits.written(s.released()),
            Credits.written(s.pending()),
            label);
      }
      if (pool.shared()) {
        BigInteger balance =
            Verifier.read(ledger, c -> Credits.balance(new LedgerReader(c), pool.holder()));
        System.out.println(
            "shared balance of " + pool.holder() + ": " + Credits.written(balance) + " credits");
      }
      return 0;
    }
  }
}
