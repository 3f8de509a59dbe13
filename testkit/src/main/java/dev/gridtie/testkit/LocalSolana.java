package dev.gridtie.testkit;

import dev.gridtie.base.GuardedProcess;
import dev.gridtie.base.Json;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/**
 * A Solana for tests, as a child process: the real runtime and token programs, behind the JSON-RPC
 * methods that paying uses. Addresses are base58, and their bytes where an account's data holds
 * them.
 */
public final class LocalSolana implements AutoCloseable {
  private static final int START_SECONDS_MAX = 30;
  private static final int MINT_BYTES = 82;
  private static final int TOKEN_ACCOUNT_BYTES = 165;
  private static final int AMOUNT_AT = 64;
  private static final long RENT_LAMPORTS = 3_000_000;

  private final GuardedProcess process;
  private final URI url;
  private final HttpClient http = HttpClient.newHttpClient();

  private LocalSolana(GuardedProcess process, URI url) {
    this.process = process;
    this.url = url;
  }

  /**
   * Starts it and waits until it answers.
   *
   * @param root of the project, where the launcher has fetched its packages
   * @param log where its output goes
   */
  public static LocalSolana start(Path root, Path log) throws IOException, InterruptedException {
    Path bridge = root.resolve("testkit/solana/bridge.mjs");
    if (!Files.isDirectory(bridge.resolveSibling("node_modules"))) {
      throw new IOException("testkit/solana/node_modules is missing; ./gridtie test fetches it");
    }
    GuardedProcess process = GuardedProcess.start(List.of("node", bridge.toString(), "0"), log);
    for (int i = 0; i < START_SECONDS_MAX * 20; i++) {
      String said = Files.exists(log) ? Files.readString(log) : "";
      if (said.startsWith("ready ") && said.endsWith("\n")) {
        String port = said.substring("ready ".length()).strip();
        return new LocalSolana(process, URI.create("http://127.0.0.1:" + port));
      }
      if (!process.isAlive()) {
        throw new IOException("the test Solana ended: " + said);
      }
      Thread.sleep(50);
    }
    process.close();
    throw new IOException("the test Solana does not start");
  }

  public URI url() {
    return url;
  }

  /** Gives an account lamports. */
  public void airdrop(String address, long lamports) throws IOException, InterruptedException {
    JsonNode unused = ask("requestAirdrop", address, Long.toString(lamports));
  }

  /** Makes a coin. */
  public void mint(String address, String program, int decimals)
      throws IOException, InterruptedException {
    ByteBuffer data = ByteBuffer.allocate(MINT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.putLong(36, Long.MAX_VALUE).put(44, (byte) decimals).put(45, (byte) 1);
    set(address, program, data.array());
  }

  /** Makes an account that holds so many atomic units of a coin. */
  public void tokenAccount(String address, byte[] mint, byte[] owner, String program, long amount)
      throws IOException, InterruptedException {
    ByteBuffer data = ByteBuffer.allocate(TOKEN_ACCOUNT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.put(0, mint).put(32, owner).putLong(AMOUNT_AT, amount).put(108, (byte) 1);
    set(address, program, data.array());
  }

  private void set(String address, String program, byte[] data)
      throws IOException, InterruptedException {
    JsonNode unused =
        ask(
            "test_setAccount",
            address,
            program,
            Base64.getEncoder().encodeToString(data),
            Long.toString(RENT_LAMPORTS));
  }

  /** What a token account holds, in atomic units; 0 where there is none. */
  public long amount(String address) throws IOException, InterruptedException {
    JsonNode account = ask("getAccountInfo", address).path("value");
    if (!account.isObject()) {
      return 0;
    }
    byte[] data = Base64.getDecoder().decode(account.path("data").path(0).asString());
    return ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).getLong(AMOUNT_AT);
  }

  /** An account's lamports. */
  public long lamports(String address) throws IOException, InterruptedException {
    return ask("getBalance", address).path("value").asLong();
  }

  /** So many blocks go by that what was signed before is too old. */
  public void expire() throws IOException, InterruptedException {
    JsonNode unused = ask("test_expire");
  }

  private JsonNode ask(String method, String... params) throws IOException, InterruptedException {
    ArrayNode list = Json.array();
    for (String param : params) {
      list.add(param);
    }
    String body = Json.write(Json.object().put("id", 1).put("method", method).set("params", list));
    HttpResponse<byte[]> response =
        http.send(
            HttpRequest.newBuilder(url).POST(HttpRequest.BodyPublishers.ofString(body)).build(),
            HttpResponse.BodyHandlers.ofByteArray());
    try {
      JsonNode answer = Json.parse(response.body());
      if (answer.has("error")) {
        throw new IOException(method + ": " + Json.write(answer.path("error")));
      }
      return answer.path("result");
    } catch (Json.MalformedJsonException e) {
      throw new IOException(method + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    process.close();
    http.close();
  }
}
