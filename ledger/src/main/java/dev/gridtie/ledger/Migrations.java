package dev.gridtie.ledger;

import java.util.Map;
import org.flywaydb.core.Flyway;
import org.flywaydb.core.api.FlywayException;
import org.flywaydb.core.api.configuration.FluentConfiguration;

/**
 * Tables that belong together, and how they came to be: numbered SQL files that are run once each,
 * the same on both stores. What is run already is remembered in a table of its own.
 *
 * @param name of the tables, lower case
 * @param folder of the files on the class path, such as {@code db/ledger}
 */
public record Migrations(String name, String folder) {
  static final Migrations OF_THE_LEDGER = new Migrations("ledger", "db/ledger");

  /** SQLite's words for what the files leave open. */
  private static final Map<String, String> SQLITE =
      Map.of(
          "int", "INTEGER",
          "text", "TEXT",
          "blob", "BLOB",
          "strict", "STRICT",
          "keyed", "STRICT, WITHOUT ROWID");

  /** PostgreSQL's; texts are compared byte by byte, as SQLite does. */
  private static final Map<String, String> POSTGRES =
      Map.of(
          "int", "BIGINT",
          "text", "TEXT COLLATE \"C\"",
          "blob", "BYTEA",
          "strict", "",
          "keyed", "");

  /** Runs what was not run yet. */
  public void runOn(Location where) {
    FluentConfiguration flyway =
        switch (where) {
          case Location.OnFile file ->
              Flyway.configure()
                  .dataSource("jdbc:sqlite:" + file.file(), null, null)
                  .placeholders(SQLITE);
          case Location.OnPostgres postgres ->
              Flyway.configure()
                  .dataSource(postgres.url(), postgres.user(), postgres.password().reveal())
                  .placeholders(POSTGRES);
        };
    try {
      int unused =
          flyway
              .locations("classpath:" + folder)
              .table("schema_" + name)
              .baselineOnMigrate(true)
              .baselineVersion("0")
              .load()
              .migrate()
              .migrationsExecuted;
    } catch (FlywayException e) {
      throw new StoreException("preparing the tables of " + where, e);
    }
  }
}
