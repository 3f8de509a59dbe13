package dev.gridtie.app;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.gridtie.base.Secret;
import dev.gridtie.ledger.Location;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where a home's ledger is, if not in the home: its file {@code ledger.yaml}.
 *
 * @param url of PostgreSQL, as JDBC takes it: {@code jdbc:postgresql://host/gridtie}; for fail-over
 *     {@code jdbc:postgresql://a,b/gridtie?targetServerType=primary}
 * @param user who owns the database
 * @param passwordEnv the environment's variable that has the password
 * @param passwordFile a file that has it on one line, relative to the home
 */
record LedgerAt(
    @JsonProperty(required = true) String url,
    @JsonProperty(required = true) String user,
    @Nullable String passwordEnv,
    @Nullable String passwordFile) {

  static Path file(Path home) {
    return home.resolve("ledger.yaml");
  }

  /** The ledger of a home: a file in it, or what its {@code ledger.yaml} names. */
  static Location of(Path home) throws IOException {
    return Files.exists(file(home))
        ? YamlFile.read(file(home), LedgerAt.class).location(home)
        : Location.in(home);
  }

  Location.OnPostgres location(Path home) throws IOException {
    if (!url.startsWith("jdbc:postgresql:")) {
      throw new IOException(
          "a ledger is in the home or on PostgreSQL: jdbc:postgresql://host/database, not " + url);
    }
    if (url.contains("password=")) {
      throw new IOException(
          "the ledger's url has a password in it; put it into a file and name it with passwordFile");
    }
    return new Location.OnPostgres(
        url, user, password(home), home.resolve("ledger-postgresql.head"));
  }

  private Secret password(Path home) throws IOException {
    if (passwordEnv != null) {
      String value = System.getenv(passwordEnv);
      if (value == null) {
        throw new IOException(
            "the ledger's password is to be in " + passwordEnv + ", which is not set");
      }
      return new Secret(value);
    }
    if (passwordFile != null) {
      Path file = home.resolve(passwordFile);
      if (!Files.isReadable(file)) {
        throw new IOException("the ledger's password is to be in " + file + ", which is not there");
      }
      return new Secret(Files.readString(file).strip());
    }
    return new Secret("");
  }

  /** Its YAML, without any secret. */
  String yaml() {
    return "# Where this home's ledger is. Without this file it is ledger.db beside it.\n"
        + "url: "
        + quoted(url)
        + "user: "
        + quoted(user)
        + (passwordEnv == null ? "" : "passwordEnv: " + quoted(passwordEnv))
        + (passwordFile == null ? "" : "passwordFile: " + quoted(passwordFile));
  }

  private static String quoted(String value) {
    return "'" + value.replace("'", "''") + "'\n";
  }
}
