package dev.gridtie.gateway.till;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.Account;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.LedgerRefusal;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.LedgerView;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Credits: what work is worth that was done for others. One credit is the work of a million tokens
 * of Llama-3-70B, 1.4e17 FLOP; the unit is the micro-credit, 1.4e11 FLOP. They come into being for
 * verified work alone, are spent on answers at the posted rate, and can be given on.
 *
 * <pre>
 * mint      issuance → holder      for work, with the hash of what verified it
 * escrow    issuance ⇢ holder      for work that is not verified yet: nobody's so far
 * hold      holder ⇢ operator      the most an answer may cost, before it is given
 * spend     holder → operator      what it came to; the rest is free again
 * transfer  holder → holder
 * </pre>
 */
public final class Credits {
  /** The asset's name. */
  public static final String ASSET = "credit";

  /** Of one micro-credit. */
  public static final BigInteger FLOP_PER_MICRO = new BigInteger("140000000000");

  private static final BigInteger MICRO = BigInteger.valueOf(1_000_000);

  /** A hold that nobody ends ends by itself: no answer takes so long. */
  public static final Duration HOLD_EXPIRES = Duration.ofHours(1);

  /** Over how many days velocity is measured. */
  private static final int VELOCITY_DAYS = 30;

  public static final AccountId ISSUANCE = new AccountId(ASSET, "issuance");
  public static final AccountId OPERATOR = new AccountId(ASSET, "operator");

  private Credits() {}

  /**
   * What a credit is worth here.
   *
   * @param picoUsdPerMicro pico-dollars for one micro-credit, positive
   */
  public record Rate(BigInteger picoUsdPerMicro) {
    public Rate {
      if (picoUsdPerMicro.signum() <= 0) {
        throw new IllegalArgumentException("a credit is worth more than nothing");
      }
    }

    /** From dollars for one credit, of at most 6 decimals: 0.02. */
    public static Rate ofDollars(String usdPerCredit) {
      BigInteger[] parts = PicoUsd.ofDollars(usdPerCredit).pico().divideAndRemainder(MICRO);
      if (parts[1].signum() != 0) {
        throw new IllegalArgumentException("a rate has at most 6 decimals: " + usdPerCredit);
      }
      return new Rate(parts[0]);
    }

    /** What a price comes to, rounded up to a whole micro-credit. */
    public BigInteger price(PicoUsd price) {
      return price.pico().add(picoUsdPerMicro).subtract(BigInteger.ONE).divide(picoUsdPerMicro);
    }

    /** What so many dollars buy, rounded down. */
    public BigInteger bought(PicoUsd paid) {
      return paid.pico().divide(picoUsdPerMicro);
    }

    /** What so many micro-credits are worth. */
    public PicoUsd worth(BigInteger micro) {
      return new PicoUsd(micro.multiply(picoUsdPerMicro));
    }

    /** Dollars for one credit. */
    public PicoUsd perCredit() {
      return worth(MICRO);
    }
  }

  /**
   * Work that somebody has verified.
   *
   * @param id names it for ever: work is paid once
   * @param holder whose it was
   * @param flop how much, by the model that was really served
   * @param evidenceSha256 of what shows it, hexadecimal
   */
  public record VerifiedWork(String id, String holder, BigInteger flop, String evidenceSha256) {
    public VerifiedWork {
      if (id.isEmpty() || id.length() > 200 || flop.signum() < 0) {
        throw new IllegalArgumentException("work has an id of 1 to 200 characters and some FLOP");
      }
      if (!evidenceSha256.matches("[0-9a-f]{64}")) {
        throw new IllegalArgumentException("evidence is named by its SHA-256, hexadecimal");
      }
      AccountId unused = Credits.holder(holder);
    }
  }

  /**
   * A holder's account.
   *
   * @throws IllegalArgumentException where the name is none
   */
  public static AccountId holder(String name) {
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9:._-]{0,99}")) {
      throw new IllegalArgumentException(
          "a holder's name has 1 to 100 letters, digits, and : . _ - after the first: " + name);
    }
    return new AccountId(ASSET, "holder:" + name);
  }

  private static void open(LedgerTx log, AccountId holder, Instant now)
      throws RefusedException, SQLException {
    log.ensureOpen(ISSUANCE, false, now);
    log.ensureOpen(OPERATOR, true, now);
    log.ensureOpen(holder, true, now);
  }

  /** The entry that mints for some work. */
  public static String mintId(String workId) {
    return Ids.derived("mint " + workId);
  }

  /** The entry that keeps what some work would be worth. */
  public static String escrowId(String workId) {
    return Ids.derived("escrow " + workId);
  }

  /**
   * Mints what work is worth, rounded down; the same work again changes nothing.
   *
   * @return in micro-credits
   * @throws RefusedException where the work was minted for otherwise before
   */
  public static BigInteger mint(Connection c, LedgerTx log, VerifiedWork work, Instant now)
      throws RefusedException, SQLException {
    BigInteger micro = work.flop().divide(FLOP_PER_MICRO);
    AccountId to = holder(work.holder());
    open(log, to, now);
    LedgerTx.Applied evidence =
        log.apply(
            new Entry.Witness(
                Ids.derived("evidence " + work.id()), now, "work", work.evidenceSha256()));
    LedgerTx.Applied minted =
        log.apply(
            new Entry.Transfer(mintId(work.id()), now, ISSUANCE, to, micro, "work " + work.id()));
    if (minted == LedgerTx.Applied.NEW && evidence == LedgerTx.Applied.NEW) {
      count(c, now, micro, BigInteger.ZERO, BigInteger.ZERO);
    }
    return micro;
  }

  /**
   * Keeps what work would be worth in escrow until it is verified: it counts to nobody yet, and is
   * pending at its holder. The same work again changes nothing.
   *
   * @return in micro-credits
   */
  public static BigInteger escrow(
      LedgerTx log, String workId, String holder, BigInteger flop, Instant now)
      throws RefusedException, SQLException {
    BigInteger micro = flop.divide(FLOP_PER_MICRO);
    open(log, holder(holder), now);
    log.apply(
        new Entry.Hold(escrowId(workId), now, ISSUANCE, holder(holder), micro, "work " + workId));
    return micro;
  }

  /**
   * Ends an escrow by minting, for what was verified, at most what is kept; what was not is void.
   * Zero FLOP voids all of it. The same again changes nothing.
   *
   * @return in micro-credits
   */
  public static BigInteger mintEscrow(Connection c, LedgerTx log, VerifiedWork work, Instant now)
      throws RefusedException, SQLException {
    BigInteger micro = work.flop().divide(FLOP_PER_MICRO);
    LedgerTx.Applied evidence =
        log.apply(
            new Entry.Witness(
                Ids.derived("evidence " + work.id()), now, "work", work.evidenceSha256()));
    String hold = escrowId(work.id());
    LedgerTx.Applied minted =
        log.apply(
            micro.signum() == 0
                ? new Entry.Release(mintId(work.id()), now, hold, "not verified")
                : new Entry.Post(mintId(work.id()), now, hold, micro, "work " + work.id()));
    if (minted == LedgerTx.Applied.NEW && evidence == LedgerTx.Applied.NEW) {
      count(c, now, micro, BigInteger.ZERO, BigInteger.ZERO);
    }
    return micro;
  }

  /**
   * Gives credits to another holder; the same transfer again changes nothing.
   *
   * @param id the giver's, for this transfer
   * @throws RefusedException where the giver has not as many
   */
  public static void transfer(
      Connection c, LedgerTx log, String id, String from, String to, BigInteger micro, Instant now)
      throws RefusedException, SQLException {
    open(log, holder(from), now);
    open(log, holder(to), now);
    LedgerTx.Applied applied =
        log.apply(
            new Entry.Transfer(
                Ids.derived("give " + from + " " + id),
                now,
                holder(from),
                holder(to),
                micro,
                "given"));
    if (applied == LedgerTx.Applied.NEW) {
      count(c, now, BigInteger.ZERO, BigInteger.ZERO, micro);
    }
  }

  /**
   * Sets aside the most that an answer may cost.
   *
   * @return whether the holder has as much
   */
  public static boolean hold(
      Database database, String answerId, String holder, BigInteger micro, Instant now) {
    try {
      return database.writeOrRefuse(
          (c, log) -> {
            open(log, holder(holder), now);
            log.apply(
                new Entry.Hold(
                    holdId(answerId),
                    now,
                    holder(holder),
                    OPERATOR,
                    micro,
                    "hold for an answer",
                    Optional.of(now.plus(HOLD_EXPIRES))));
            return true;
          });
    } catch (RefusedException e) {
      if (e.why() == LedgerRefusal.EXCEEDS_CREDITS) {
        return false;
      }
      throw new IllegalStateException("a hold that no rule should refuse", e);
    }
  }

  private static String holdId(String answerId) {
    return Ids.derived("credits for " + answerId);
  }

  /** Ends a hold: spends of it what the answer came to. Does nothing where it has ended. */
  public static void spend(
      Connection c, LedgerTx log, String answerId, BigInteger micro, Instant now)
      throws RefusedException, SQLException {
    if (log.hasEnded(holdId(answerId))) {
      return; // it has expired, or this was said before
    }
    boolean expired =
        log.entry(holdId(answerId)).orElseThrow() instanceof Entry.Hold hold
            && hold.expires().filter(at -> !now.isBefore(at)).isPresent();
    if (expired) { // the ledger could not be written for so long: the operator's loss
      log.apply(new Entry.Expire(Ids.derived("expire " + holdId(answerId)), now, holdId(answerId)));
      return;
    }
    log.apply(
        micro.signum() == 0
            ? new Entry.Release(
                Ids.derived("spend " + answerId), now, holdId(answerId), "no answer")
            : new Entry.Post(
                Ids.derived("spend " + answerId),
                now,
                holdId(answerId),
                micro,
                "answer " + answerId));
    count(c, now, BigInteger.ZERO, micro, BigInteger.ZERO);
  }

  /** What a holder may still spend or give, in micro-credits. */
  public static BigInteger balance(LedgerView log, String holder) throws SQLException {
    return log.account(holder(holder)).map(Account::available).orElse(BigInteger.ZERO);
  }

  /** What a holder has ever come by, spent or not, in micro-credits. */
  public static BigInteger cameBy(LedgerView log, String holder) throws SQLException {
    return log.account(holder(holder)).map(Account::creditsPosted).orElse(BigInteger.ZERO);
  }

  /**
   * How many credits there are, in micro-credits.
   *
   * @param minted ever
   * @param returned to the operator, for answers
   * @param circulating what holders have, held for answers or not
   * @param held of that
   * @param turnedOver spent or given in the last 30 days: velocity is this, by what circulates
   */
  public record Supply(
      BigInteger minted,
      BigInteger returned,
      BigInteger circulating,
      BigInteger held,
      BigInteger turnedOver) {}

  public static Supply supply(Connection c, LocalDate today) throws SQLException {
    LedgerReader log = new LedgerReader(c);
    BigInteger minted = log.account(ISSUANCE).map(Account::debitsPosted).orElse(BigInteger.ZERO);
    Optional<Account> operator = log.account(OPERATOR);
    BigInteger returned = operator.map(Account::balance).orElse(BigInteger.ZERO);
    BigInteger held = operator.map(Account::creditsPending).orElse(BigInteger.ZERO);
    BigInteger turned = BigInteger.ZERO;
    for (Day day : days(c, today.minusDays(VELOCITY_DAYS - 1L), today)) {
      turned = turned.add(day.spent()).add(day.transferred());
    }
    return new Supply(minted, returned, minted.subtract(returned), held, turned);
  }

  /** What happened to credits on a day, UTC, in micro-credits. */
  public record Day(LocalDate day, BigInteger minted, BigInteger spent, BigInteger transferred) {}

  /** Days on which anything happened. */
  public static List<Day> days(Connection c, LocalDate from, LocalDate to) throws SQLException {
    List<Day> days = new ArrayList<>();
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM credit_day WHERE day >= ? AND day <= ? ORDER BY day")) {
      select.setString(1, from.toString());
      select.setString(2, to.toString());
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          days.add(
              new Day(
                  LocalDate.parse(row.getString("day")),
                  new BigInteger(row.getString("minted")),
                  new BigInteger(row.getString("spent")),
                  new BigInteger(row.getString("transferred"))));
        }
      }
    }
    return days;
  }

  private static void count(
      Connection c, Instant now, BigInteger minted, BigInteger spent, BigInteger transferred)
      throws SQLException {
    LocalDate today = LocalDate.ofInstant(now, ZoneOffset.UTC);
    Day before =
        days(c, today, today).stream()
            .findFirst()
            .orElse(new Day(today, BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO));
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO credit_day (day, minted, spent, transferred) VALUES (?, ?, ?, ?)"
                + " ON CONFLICT (day) DO UPDATE SET minted = excluded.minted, spent = excluded.spent,"
                + " transferred = excluded.transferred")) {
      upsert.setString(1, today.toString());
      upsert.setString(2, before.minted().add(minted).toString());
      upsert.setString(3, before.spent().add(spent).toString());
      upsert.setString(4, before.transferred().add(transferred).toString());
      int unused = upsert.executeUpdate();
    }
  }

  /** As people write it: micro-credits as credits, with six decimals. */
  public static String written(BigInteger micro) {
    return new java.math.BigDecimal(micro, 6).toPlainString();
  }

  /**
   * Reads credits as people write them.
   *
   * @return in micro-credits
   * @throws IllegalArgumentException where it is none, negative, or has more than six decimals
   */
  public static BigInteger read(String credits) {
    if (!credits.matches("[0-9]{1,18}(\\.[0-9]{1,6})?")) {
      throw new IllegalArgumentException(
          "credits are written with at most six decimals, such as 1.5: " + credits);
    }
    return new java.math.BigDecimal(credits).movePointRight(6).toBigIntegerExact();
  }
}
