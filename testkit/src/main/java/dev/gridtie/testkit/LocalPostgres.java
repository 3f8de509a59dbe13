package dev.gridtie.testkit;

import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A PostgreSQL server on a free port that syncs what it acknowledges, as one must to which money is
 * entrusted. One serves a whole run of tests, each of which takes databases of its own.
 */
public final class LocalPostgres {
  public static final String USER = "postgres";
  public static final String PASSWORD = "postgres";

  private static final AtomicInteger NUMBER = new AtomicInteger();

  private LocalPostgres() {}

  private static final class Shared {
    static final EmbeddedPostgres SERVER = start();
  }

  private static EmbeddedPostgres start() {
    try {
      EmbeddedPostgres server =
          EmbeddedPostgres.builder()
              .setServerConfig("fsync", "on")
              .setServerConfig("synchronous_commit", "on")
              .setServerConfig("full_page_writes", "on")
              .setServerConfig("max_connections", "200")
              .start();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server)));
      return server;
    } catch (IOException e) {
      throw new IllegalStateException("PostgreSQL for tests does not start", e);
    }
  }

  private static void stop(EmbeddedPostgres server) {
    try {
      server.close();
    } catch (IOException e) {
      System.err.println("PostgreSQL for tests does not stop: " + e.getMessage());
    }
  }

  /** The port of the shared server, for a proxy in front of it. */
  public static int port() {
    return Shared.SERVER.getPort();
  }

  /** Makes an empty database, and says its name. */
  public static String newDatabase() {
    String name = "t" + ProcessHandle.current().pid() + "_" + NUMBER.incrementAndGet();
    execute("CREATE DATABASE " + name);
    return name;
  }

  /** The address of a database on the shared server. */
  public static String url(String database) {
    return "jdbc:postgresql://127.0.0.1:" + port() + "/" + database;
  }

  /** Has the server do something, as its owner. */
  public static void execute(String sql) {
    try (Connection connection = connect("postgres");
        Statement statement = connection.createStatement()) {
      statement.execute(sql);
    } catch (SQLException e) {
      throw new IllegalStateException(sql, e);
    }
  }

  /** A connection to a database of the shared server. */
  public static Connection connect(String database) throws SQLException {
    return DriverManager.getConnection(url(database), USER, PASSWORD);
  }
}
