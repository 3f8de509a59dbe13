package dev.gridtie.ledger.export;

import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Movement;
import java.io.IOException;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Comparator;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.LongConsumer;

/** Writes the books for other programs. Every format has all that moved, in the log's order. */
public enum Export {
  /** RFC 4180, holds and what ends them included. */
  CSV {
    @Override
    void begin(Books books, Appendable out) throws IOException {
      out.append("entry,id,time,kind,debit,credit,asset,posted,pending,memo\r\n");
    }

    @Override
    void movement(Movement m, Appendable out) throws IOException {
      out.append(Long.toString(m.seq())).append(',');
      out.append(m.entry().id()).append(',').append(m.entry().time().toString()).append(',');
      out.append(m.kind()).append(',');
      out.append(quoted(m.between().debit().owner())).append(',');
      out.append(quoted(m.between().credit().owner())).append(',');
      out.append(quoted(m.between().debit().asset())).append(',');
      out.append(Names.amount(m.between().debit().asset(), m.posted()))
          .append(',')
          .append(Names.amount(m.between().debit().asset(), m.pending()));
      out.append(',').append(quoted(m.memo())).append("\r\n");
    }
  },

  /** Beancount 3: what is posted. */
  BEANCOUNT {
    @Override
    void begin(Books books, Appendable out) throws IOException {
      out.append("option \"title\" \"Gridtie\"\n\n");
      for (String asset : books.assets) {
        out.append(books.from + " commodity " + Names.currency(asset) + "\n");
        out.append("  asset: \"" + asset + "\"\n");
      }
      for (String account : books.accounts.keySet()) {
        out.append(books.from + " open " + account + "\n");
      }
    }

    @Override
    void movement(Movement m, Appendable out) throws IOException {
      if (m.posted().signum() == 0) {
        return;
      }
      String currency = Names.currency(m.between().debit().asset());
      String amount = Names.amount(m.between().debit().asset(), m.posted());
      out.append("\n" + day(m) + " * \"" + Names.narration(m.memo()) + "\"\n");
      out.append("  entry: \"" + m.entry().id() + "\"\n");
      out.append("  " + Names.account(m.between().debit()) + "  " + amount + " " + currency + "\n");
      out.append(
          "  " + Names.account(m.between().credit()) + "  -" + amount + " " + currency + "\n");
    }
  },

  /** ledger-cli and hledger: what is posted. */
  LEDGER {
    @Override
    void begin(Books books, Appendable out) throws IOException {
      for (String asset : books.assets) {
        out.append("; " + Names.currency(asset) + " is " + asset + "\n");
        out.append("commodity \"" + Names.currency(asset) + "\"\n");
      }
      for (String account : books.accounts.keySet()) {
        out.append("account " + account + "\n");
      }
    }

    @Override
    void movement(Movement m, Appendable out) throws IOException {
      if (m.posted().signum() == 0) {
        return;
      }
      String currency = "\"" + Names.currency(m.between().debit().asset()) + "\"";
      String amount = Names.amount(m.between().debit().asset(), m.posted());
      out.append("\n" + day(m) + " * " + Names.narration(m.memo()) + "\n");
      out.append("    ; entry: " + m.entry().id() + "\n");
      out.append(
          "    " + Names.account(m.between().debit()) + "  " + amount + " " + currency + "\n");
      out.append(
          "    " + Names.account(m.between().credit()) + "  -" + amount + " " + currency + "\n");
    }
  };

  /** What there is: known before the first movement is written. */
  static final class Books {
    final TreeSet<String> assets = new TreeSet<>(Comparator.naturalOrder());

    /** By the name that is written; two of ours may not share one within an asset. */
    final TreeMap<String, String> accounts = new TreeMap<>();

    LocalDate from = LocalDate.EPOCH;

    void add(Movement m) {
      LocalDate day = day(m);
      if (assets.isEmpty() || day.isBefore(from)) {
        from = day;
      }
      assets.add(m.between().debit().asset());
      add(m.between().debit());
      add(m.between().credit());
    }

    private void add(AccountId id) {
      String other = accounts.putIfAbsent(Names.account(id), id.owner());
      if (other != null && !other.equals(id.owner())) {
        throw new IllegalStateException(other + " and " + id.owner() + " would be one account");
      }
    }
  }

  abstract void begin(Books books, Appendable out) throws IOException;

  abstract void movement(Movement m, Appendable out) throws IOException;

  private static LocalDate day(Movement m) {
    return LocalDate.ofInstant(m.entry().time(), ZoneOffset.UTC);
  }

  /** Quoted, and never what a spreadsheet takes for a formula. */
  private static String quoted(String text) {
    String safe = !text.isEmpty() && "=+-@\t\r".indexOf(text.charAt(0)) >= 0 ? "'" + text : text;
    return "\"" + safe.replace("\"", "\"\"").replaceAll("\\p{Cntrl}", " ") + "\"";
  }

  private static final int PROGRESS_EVERY = 1000;

  /**
   * Writes all that has moved.
   *
   * @param progress told the number of the entry that was written, now and then
   * @return how many movements
   */
  public long write(Connection connection, Appendable out, LongConsumer progress)
      throws SQLException, IOException {
    Books books = new Books();
    Movement.<RuntimeException>forEach(connection, books::add);
    begin(books, out);
    long[] count = {0};
    Movement.<IOException>forEach(
        connection,
        m -> {
          movement(m, out);
          if (++count[0] % PROGRESS_EVERY == 0) {
            progress.accept(m.seq());
          }
        });
    return count[0];
  }
}
