package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.nodes.Pool;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.testkit.LocalPostgres;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * One backup holds everything that a gateway must not lose, and a restored home goes on from it.
 */
class BackupIT {
  @TempDir Path directory;

  private record Said(int status, String text) {}

  private static synchronized Said gridtie(Object... words) {
    PrintStream before = System.out;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, UTF_8));
    try {
      int status =
          new picocli.CommandLine(new Main())
              .setExecutionExceptionHandler(
                  (e, command, parsed) -> {
                    System.out.println(e.getMessage());
                    return 1;
                  })
              .execute(Stream.of(words).map(String::valueOf).toArray(String[]::new));
      return new Said(status, out.toString(UTF_8).replaceAll("\\s+", " "));
    } finally {
      System.setOut(before);
    }
  }

  private Path passphrase(String text) throws Exception {
    return Files.writeString(directory.resolve("passphrase"), text + "\n");
  }

  private static String key(Home home, String name) throws Exception {
    ApiKey.Fresh fresh = ApiKey.create(name, KeyLimits.NONE, Instant.now(), new SecureRandom());
    try (KeyStore store = KeyStore.open(home.ledger())) {
      assertThat(store.add(fresh.key())).isTrue();
    }
    return fresh.secret().reveal();
  }

  private static HttpResponse<String> byKey(TestGateway world, String key) throws Exception {
    return world.post(
        bytes(chat("What is a receipt?").put("max_tokens", 4)),
        Map.of("Authorization", "Bearer " + key));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRestoredHomeServesKeysPoolsAndPaidAnswersAndEndsWhatWasInFlight(boolean onPostgres)
      throws Exception {
    try (TestGateway world = new TestGateway(directory, onPostgres)) {
      Path backup = directory.resolve("home.backup");
      Path secret = passphrase("correct horse battery");
      byte[] question = bytes(chat("What is a receipt?"));
      byte[] long_ = TestGateway.longStream(7);
      String alice = key(world.home, "alice");
      String mallory = key(world.home, "mallory");
      try (PoolStore pools = PoolStore.open(world.home.ledger());
          KeyStore keys = KeyStore.open(world.home.ledger())) {
        pools.add(new Pool("clinic", false, true, Instant.now(), false));
        keys.revoke("mallory");
      }
      String payment;
      String inFlight;
      HttpResponse<String> answered;
      try (Gateway gateway = world.start(world.config())) {
        payment = world.sign(question);
        answered = world.paid(question, payment);
        assertThat(answered.statusCode()).isEqualTo(200);
        inFlight = world.sign(long_);
        try (InputStream stream = world.paidStream(long_, inFlight).body()) {
          assertThat(stream.read()).isPositive();
          AtomicBoolean over = new AtomicBoolean();
          Thread load =
              Thread.ofVirtual()
                  .start(
                      () -> {
                        while (!over.get()) {
                          try {
                            assertThat(byKey(world, alice).statusCode()).isEqualTo(200);
                          } catch (Exception e) {
                            throw new AssertionError(e);
                          }
                        }
                      });
          Said made =
              gridtie("backup", backup, "--home", world.home.path(), "--passphrase-file", secret);
          over.set(true);
          load.join();
          assertThat(made.status()).as(made.text()).isZero();
          assertThat(made.text()).contains("accounts.db", "private keys, encrypted");
        }
        assertThat(gateway.port()).isPositive();
      }
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(backup)))
          .isEqualTo("rw-------");
      Home restored = new Home(directory.resolve("restored"));
      Said said =
          gridtie("restore", backup, "--home", restored.path(), "--passphrase-file", secret);
      assertThat(said.status()).as(said.text()).isZero();
      assertThat(said.text()).contains("two gateways with the same keys");
      if (onPostgres) {
        Said migrated =
            gridtie(
                "ledger",
                "migrate",
                "--home",
                restored.path(),
                "--to",
                LocalPostgres.url(LocalPostgres.newDatabase()),
                "--user",
                LocalPostgres.USER,
                "--password-file",
                "keys/postgresql.password");
        assertThat(migrated.status()).as(migrated.text()).isZero();
      }
      for (String name : List.of("facilitator", "receipt", "log")) {
        assertThat(Files.readString(restored.keyFile(name)))
            .isEqualTo(Files.readString(world.home.keyFile(name)));
      }
      try (Gateway gateway =
          Gateway.start(world.config(), restored, new Install(TestGateway.ROOT))) {
        world.url = java.net.URI.create("http://127.0.0.1:" + gateway.port());
        assertThat(byKey(world, alice).statusCode()).isEqualTo(200);
        assertThat(byKey(world, mallory).statusCode()).isEqualTo(401);
        HttpResponse<String> again = world.paid(question, payment);
        assertThat(again.statusCode()).isEqualTo(200);
        assertThat(again.body()).isEqualTo(answered.body());
        TestGateway.eventually(
            "what was in flight is answered",
            () -> world.paid(long_, inFlight).statusCode() == 200);
        assertThat(world.spent(world.buyer.address()))
            .isEqualTo(TestGateway.quoted(payment).add(TestGateway.quoted(inFlight)));
      }
      try (PoolStore pools = PoolStore.open(restored.ledger())) {
        assertThat(pools.find("clinic")).map(Pool::vouched).contains(true);
      }
      assertThat(gridtie("ledger", "verify", "--home", restored.path()).text())
          .startsWith("sound: ");
    }
  }

  // What is refused

  /** A home with a ledger and keys, and no gateway. */
  private Home small() throws Exception {
    Home home = new Home(directory.resolve("home"));
    home.create();
    try (var database =
        dev.gridtie.ledger.Database.open(
            home.ledger(), List.of(dev.gridtie.gateway.till.GatewayTables.MIGRATIONS))) {
      assertThat(database.where()).isEqualTo(home.ledger());
    }
    String unused = key(home, "alice");
    assertThat(home.evmKey("facilitator").address()).isNotNull();
    Files.writeString(home.path().resolve("upstream-spending.json"), "{}");
    Files.writeString(home.path().resolve("proxy.token"), "a secret");
    return home;
  }

  private Path backup(Home home, Object... how) throws Exception {
    Path file = directory.resolve("made.backup");
    List<Object> words = new ArrayList<>(List.of("backup", file, "--home", home.path()));
    words.addAll(Arrays.asList(how));
    Said made = gridtie(words.toArray());
    assertThat(made.status()).as(made.text()).isZero();
    return file;
  }

  private Said restore(Path file, Object... how) {
    List<Object> words =
        new ArrayList<>(List.of("restore", file, "--home", directory.resolve("restored")));
    words.addAll(Arrays.asList(how));
    return gridtie(words.toArray());
  }

  @Test
  void eachDamagedPartIsNamedAndNothingIsRestored() throws Exception {
    Path file = backup(small(), "--keys-in-clear");
    byte[] whole = Files.readAllBytes(file);
    String raw = new String(whole, ISO_8859_1);
    for (String part :
        List.of("manifest.json", "ledger.db", "accounts.db", "keys/facilitator.key")) {
      byte[] flipped = whole.clone();
      flipped[raw.indexOf(part) + part.length() + 30] ^= 0x40;
      Files.write(file, flipped);
      Said said = restore(file);
      assertThat(said.status()).as(part).isEqualTo(1);
      assertThat(said.text()).contains(part).contains("damaged");
      int end = raw.indexOf(part) + part.length() + 30;
      Files.write(file, Arrays.copyOf(whole, end));
      said = restore(file);
      assertThat(said.status()).as("cut in " + part).isEqualTo(1);
      assertThat(said.text()).contains(part);
      assertThat(directory.resolve("restored")).doesNotExist();
    }
    Files.write(file, whole);
    assertThat(restore(file).status()).isZero();
  }

  @Test
  void aHomeThatIsNotEmptyIsNotWrittenOverAndNeitherIsABackup() throws Exception {
    Home home = small();
    Path file = backup(home, "--without-keys");
    Path other = Files.createDirectory(directory.resolve("restored"));
    Files.writeString(other.resolve("mine"), "mine");
    assertThat(restore(file).text()).contains("is not empty");
    assertThat(Files.readString(other.resolve("mine"))).isEqualTo("mine");
    assertThat(gridtie("backup", file, "--home", home.path(), "--without-keys").text())
        .contains("there already");
  }

  @Test
  void privateFilesAreEncryptedOrLeftOutUnlessTheyAreAskedForInClear() throws Exception {
    Home home = small();
    String secret = Files.readString(home.keyFile("facilitator")).strip();
    Path words = passphrase("correct horse battery");
    Path file = backup(home, "--passphrase-file", words);
    Path unpacked = Files.createDirectory(directory.resolve("unpacked"));
    BackupFile.Manifest manifest = BackupFile.read(file, unpacked);
    assertThat(manifest.privateFiles()).contains("keys/facilitator.key", "proxy.token");
    try (Stream<Path> all = Files.walk(unpacked)) {
      for (Path one : (Iterable<Path>) all.filter(Files::isRegularFile)::iterator) {
        assertThat(Files.readString(one, ISO_8859_1)).doesNotContain(secret, "a secret");
      }
    }
    passphrase("another passphrase");
    assertThat(restore(file, "--passphrase-file", words).text())
        .contains("the passphrase does not open the private files");
    passphrase("short");
    assertThat(restore(file, "--passphrase-file", words).text()).contains("at least 12");
    passphrase("correct horse battery");
    assertThat(restore(file, "--passphrase-file", words).status()).isZero();
    Home restored = new Home(directory.resolve("restored"));
    assertThat(Files.readString(restored.keyFile("facilitator")).strip()).isEqualTo(secret);
    for (Path one : List.of(restored.path(), restored.keys(), restored.keyFile("facilitator"))) {
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(one)))
          .as(one.toString())
          .endsWith("------");
    }
    Files.delete(file);
    assertThat(backup(home, "--without-keys")).exists();
    HomeBackup.delete(restored.path());
    assertThat(restore(file).text()).contains("Private keys are NOT there");
  }

  @Test
  void keysThatWereRevokedStayRevokedWhenTheLedgerComesBackFromPostgresql() throws Exception {
    Home home = small();
    String database = LocalPostgres.url(LocalPostgres.newDatabase());
    TestGateway.writePassword(home);
    Object[] there = {
      "ledger",
      "migrate",
      "--home",
      home.path(),
      "--to",
      database,
      "--user",
      LocalPostgres.USER,
      "--password-file",
      "keys/postgresql.password"
    };
    assertThat(gridtie(there).status()).isZero();
    try (KeyStore keys = KeyStore.open(home.ledger())) {
      assertThat(keys.revoke("alice")).isTrue();
    }
    for (String old : List.of("ledger.db", "ledger.head", "ledger.seal")) {
      Files.deleteIfExists(home.path().resolve(old));
    }
    Said back = gridtie("ledger", "migrate", "--home", home.path(), "--to-file");
    assertThat(back.status()).as(back.text()).isZero();
    try (KeyStore keys = KeyStore.open(home.ledger())) {
      assertThat(keys.find("alice")).map(ApiKey::revoked).contains(true);
    }
  }
}
