package dev.gridtie.ledger;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Takes a ledger, and all that is kept with it, from one store to another, and proves that nothing
 * was lost or changed on the way.
 */
public final class Copy {
  private static final int ROWS_AT_ONCE = 500;

  private Copy() {}

  /** A table, with its columns in the order in which its rows are compared. */
  private record Table(String name, List<String> columns, List<String> keys) {
    String select() {
      return "SELECT "
          + String.join(", ", columns)
          + " FROM "
          + name
          + " ORDER BY "
          + String.join(", ", keys);
    }

    String insert() {
      return "INSERT INTO "
          + name
          + " ("
          + String.join(", ", columns)
          + ") VALUES (?"
          + ", ?".repeat(columns.size() - 1)
          + ") ON CONFLICT DO NOTHING";
    }
  }

  /**
   * Copies everything in one transaction, and compares it afterwards, row by row; then verifies the
   * copy by itself.
   *
   * @param from which nobody writes meanwhile
   * @param to which has no entries yet
   * @param others whose tables are kept with the ledger
   * @param progress told the number of rows copied, now and then
   * @throws StoreException where anything differs, or somebody has written meanwhile; the copy is
   *     not to be used then
   */
  public static Verifier.Report.Sound copy(
      Location from, Location to, List<Migrations> others, LongConsumer progress) {
    List<Table> tables = copyRows(from, to, others, progress);
    boolean unused =
        Verifier.read(
            from,
            source ->
                Verifier.read(
                    to,
                    copied -> {
                      for (Table table : tables) {
                        compare(source, copied, table);
                      }
                      return true;
                    }));
    return switch (Verifier.verify(to, progress)) {
      case Verifier.Report.Sound sound -> sound;
      case Verifier.Report.Damaged damaged ->
          throw new StoreException("the copy is not sound: " + damaged.problem());
    };
  }

  /** Copies one snapshot of what others go on writing; what is copied is not compared. */
  static void copyAsItIs(Location from, Location to, List<Migrations> others) {
    List<Table> unused = copyRows(from, to, others, ignored -> {});
  }

  private static List<Table> copyRows(
      Location from, Location to, List<Migrations> others, LongConsumer progress) {
    List<Table> tables = new ArrayList<>();
    try (Database target = Database.open(to, others)) {
      tables.addAll(target.read(Copy::tables));
      long unused =
          Verifier.read(
              from,
              source ->
                  target.write(
                      (c, log) -> {
                        requireEmpty(c, to);
                        long rows = 0;
                        for (Table table : tables) {
                          rows = copy(source, c, table, rows, progress);
                        }
                        return rows;
                      }));
    }
    Database.open(to, others).close(); // its head is where the copied log ends
    return tables;
  }

  private static List<Table> tables(Connection c) throws SQLException {
    List<String> names = new ArrayList<>();
    try (ResultSet row =
        c.getMetaData().getTables(null, c.getSchema(), "%", new String[] {"TABLE"})) {
      while (row.next()) {
        names.add(row.getString("TABLE_NAME"));
      }
    }
    List<Table> tables = new ArrayList<>();
    for (String name : names) {
      // What the stores keep for themselves is not the ledger's.
      if (!name.startsWith("schema_") && !name.startsWith("sqlite_") && !isOfWriters(name)) {
        tables.add(new Table(name, columns(c, name), keys(c, name)));
      }
    }
    return tables;
  }

  private static boolean isOfWriters(String table) {
    return table.equals("writer") || table.equals("meta");
  }

  private static List<String> columns(Connection c, String table) throws SQLException {
    try (Statement statement = c.createStatement();
        ResultSet none = statement.executeQuery("SELECT * FROM " + table + " WHERE 1 = 0")) {
      ResultSetMetaData meta = none.getMetaData();
      List<String> names = new ArrayList<>();
      for (int i = 1; i <= meta.getColumnCount(); i++) {
        names.add(meta.getColumnName(i));
      }
      return names;
    }
  }

  private static List<String> keys(Connection c, String table) throws SQLException {
    List<String> keys = new ArrayList<>();
    try (ResultSet row = c.getMetaData().getPrimaryKeys(null, c.getSchema(), table)) {
      while (row.next()) {
        keys.add(row.getString("COLUMN_NAME"));
      }
    }
    if (keys.isEmpty()) {
      throw new StoreException("table " + table + " has no primary key");
    }
    return keys;
  }

  private static void requireEmpty(Connection c, Location to) throws SQLException {
    long size = new LedgerReader(c).size();
    if (size > 0) {
      throw new StoreException(
          to + " has a ledger of " + size + " entries already; it is not written over");
    }
  }

  private static PreparedStatement reading(Connection c, Table table) throws SQLException {
    PreparedStatement select = c.prepareStatement(table.select());
    select.setFetchSize(ROWS_AT_ONCE);
    return select;
  }

  private static long copy(
      Connection source, Connection target, Table table, long before, LongConsumer progress)
      throws SQLException {
    long rows = before;
    try (PreparedStatement select = reading(source, table);
        ResultSet row = select.executeQuery();
        PreparedStatement insert = target.prepareStatement(table.insert())) {
      while (row.next()) {
        for (int i = 1; i <= table.columns().size(); i++) {
          insert.setObject(i, row.getObject(i));
        }
        insert.addBatch();
        if (++rows % ROWS_AT_ONCE == 0) {
          int[] unused = insert.executeBatch();
          progress.accept(rows);
        }
      }
      int[] unused = insert.executeBatch();
    }
    return rows;
  }

  private static void compare(Connection source, Connection copied, Table table)
      throws SQLException {
    try (PreparedStatement selectA = reading(source, table);
        PreparedStatement selectB = reading(copied, table);
        ResultSet a = selectA.executeQuery();
        ResultSet b = selectB.executeQuery()) {
      long number = 0;
      while (a.next()) {
        number++;
        if (!b.next() || !isSame(a, b, table.columns().size())) {
          throw new StoreException(
              (table.name().equals("entry") ? "entry " : table.name() + ", row ")
                  + number
                  + ": the copy differs; does a gateway still write? Stop it, empty the copy, and"
                  + " try again");
        }
      }
      if (b.next()) {
        throw new StoreException(table.name() + ": the copy has more rows than the original");
      }
    }
  }

  private static boolean isSame(ResultSet a, ResultSet b, int columns) throws SQLException {
    for (int i = 1; i <= columns; i++) {
      @Nullable Object x = a.getObject(i);
      @Nullable Object y = b.getObject(i);
      boolean same =
          x instanceof byte[] left && y instanceof byte[] right
              ? Arrays.equals(left, right)
              : x instanceof Number m && y instanceof Number n
                  ? m.longValue() == n.longValue()
                  : Objects.equals(x, y);
      if (!same) {
        return false;
      }
    }
    return true;
  }
}
