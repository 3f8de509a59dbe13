package dev.gridtie.ledger;

import dev.gridtie.base.Secret;
import dev.gridtie.testkit.LocalPostgres;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

/** The stores that every test of the ledger runs on. */
public enum Store {
  SQLITE {
    @Override
    public Location in(Path home) {
      return Location.in(home);
    }
  },
  POSTGRES {
    @Override
    public Location in(Path home) {
      return postgres(LocalPostgres.newDatabase(), home);
    }
  };

  /** A ledger that is not there yet; what belongs beside it goes into the home. */
  public abstract Location in(Path home);

  /** Another home's way to a database. */
  public static Location.OnPostgres postgres(String database, Path home) {
    return new Location.OnPostgres(
        LocalPostgres.url(database),
        LocalPostgres.USER,
        new Secret(LocalPostgres.PASSWORD),
        home.resolve("ledger-postgresql.head"));
  }

  /** Somebody who reaches around the ledger. */
  public static Connection raw(Location where) throws SQLException {
    return switch (where) {
      case Location.OnFile file -> DriverManager.getConnection("jdbc:sqlite:" + file.file());
      case Location.OnPostgres p ->
          DriverManager.getConnection(p.url(), p.user(), p.password().reveal());
    };
  }
}
