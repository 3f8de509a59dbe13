package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_16;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What may be said to a gateway's ports, and by whom, by real sockets. */
class FrontIT {
  private static final String LIMITS = "\"max_tokens\":2,";

  @TempDir static Path directory;
  private static ScriptedServer upstream;
  private static Gateway gateway;
  private static final HttpClient HTTP =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  @BeforeAll
  static void start() throws Exception {
    upstream = new ScriptedServer();
    Path catalog = directory.resolve("catalog.yaml");
    Files.writeString(directory.resolve("p.key"), "sk-upstream-key\n");
    Files.writeString(
        catalog,
        """
        providers:
          - {name: p, dialect: openai, url: "%s", keys: [{file: p.key}]}
        models:
          - id: gridtie/tiny
            endpoints:
              - {provider: p, model: m, promptUsdPerMillion: "1", completionUsdPerMillion: "4",
                 contextTokens: 1000, maxCompletionTokens: 500}
        """
            .formatted(upstream.base()));
    gateway =
        Gateway.start(
            parsed(
                """
                port: 0
                payTo: "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
                publicUrl: https://api.example.com
                hosts: [inside.example]
                catalog: %s
                credits: {usdPerCredit: "0.02"}
                chain:
                  rpc: "http://127.0.0.1:9"
                  network: eip155:84532
                  token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
                  tokenName: USDC
                  tokenVersion: "2"
                  decimals: 6
                models: []
                """
                    .formatted(catalog)),
            new Home(directory.resolve("home")),
            new Install(TestGateway.ROOT));
  }

  private static GatewayConfig parsed(String yaml) throws IOException {
    return YamlFile.parse(Path.of("gateway.yaml"), yaml.getBytes(UTF_8), GatewayConfig.class);
  }

  @AfterAll
  static void stop() throws Exception {
    gateway.close();
    upstream.close();
    HTTP.close();
  }

  /** What a port answers to bytes, until it closes or has said all of one answer. */
  private static String said(int port, String request) throws IOException {
    try (Socket socket = new Socket("127.0.0.1", port)) {
      socket.setSoTimeout(30_000);
      OutputStream out = socket.getOutputStream();
      out.write(request.getBytes(ISO_8859_1));
      out.flush();
      ByteArrayOutputStream answer = new ByteArrayOutputStream();
      for (int b = socket.getInputStream().read(); b >= 0; b = socket.getInputStream().read()) {
        answer.write(b);
        if (isWhole(answer.toString(ISO_8859_1))) {
          break;
        }
      }
      return answer.toString(ISO_8859_1);
    } catch (SocketException e) {
      return "reset";
    }
  }

  private static boolean isWhole(String answer) {
    int head = answer.indexOf("\r\n\r\n");
    if (head < 0) {
      return false;
    }
    for (String line : answer.substring(0, head).split("\r\n")) {
      if (line.toLowerCase(java.util.Locale.ROOT).startsWith("content-length:")) {
        return answer.length() >= head + 4 + Integer.parseInt(line.substring(15).strip());
      }
    }
    return answer.endsWith("0\r\n\r\n");
  }

  private static String get(String target, String... headers) throws IOException {
    String lines = String.join("\r\n", headers);
    return said(
        gateway.port(),
        "GET " + target + " HTTP/1.1\r\n" + lines + (lines.isEmpty() ? "" : "\r\n") + "\r\n");
  }

  private static int adminPort() {
    return gateway.adminUrl().orElseThrow().getPort();
  }

  private static HttpResponse<String> post(String path, byte[] body, String... headers)
      throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + gateway.port() + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body));
    for (int i = 0; i < headers.length; i += 2) {
      request.header(headers[i], headers[i + 1]);
    }
    return HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private static byte[] chat(String more) {
    return ("{\"model\":\"gridtie/tiny\","
            + more
            + "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}")
        .getBytes(UTF_8);
  }

  // Requests that no two servers may read differently

  @Test
  void oneHostIsNamedAndNamedWell() throws Exception {
    assertThat(get("/v1/models", "Host: a", "Host: b")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models", "Host:")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models", "Host: user@localhost")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models", "Host: localhost/x")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models", "Host: localhost", " folded: x")).startsWith("HTTP/1.1 400");
    assertThat(get("/v1/models", "Host: localhost:80:80")).startsWith("HTTP/1.1 400");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.9.9.9:4020",
        "[::1]:4020",
        "api.example.com",
        "inside.example:80",
        "api.example.com."
      })
  void itIsAskedUnderItsOwnNames(String host) throws Exception {
    assertThat(get("/v1/models", "Host: " + host)).startsWith("HTTP/1.1 200");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "[::2]"
      })
  void aNameThatOnlyLeadsHereIsRefused(String host) throws Exception {
    assertThat(get("/v1/models", "Host: " + host))
        .startsWith("HTTP/1.1 403")
        .contains("host_not_allowed");
    assertThat(get("http://" + host + "/v1/models", "Host: localhost")).startsWith("HTTP/1.1 403");
  }

  @Test
  void aTargetIsAPathOrAUrlOfThisGateway() throws Exception {
    assertThat(get("http://localhost/v1/models", "Host: evil.example")) // RFC 9112 §3.2.2
        .startsWith("HTTP/1.1 200");
    assertThat(get("ftp://localhost/v1/models", "Host: localhost")).startsWith("HTTP/1.1 400");
    assertThat(get("v1/models", "Host: localhost")).startsWith("HTTP/1.1 400");
    assertThat(get("//localhost/v1/models", "Host: localhost")).startsWith("HTTP/1.1 404");
    assertThat(said(gateway.port(), "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .startsWith("HTTP/1.1 400");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Content-Length: 5|Transfer-Encoding: chunked||0||GET /v1/models HTTP/1.1|Host: localhost||",
        "Content-Length: 5|Content-Length: 6||hello!",
        "Content-Length: 5|Content-Length: 5||hello",
        "Content-Length: +5||hello",
        "Transfer-Encoding: xchunked||0||",
        "Transfer-Encoding: identity, chunked||0||",
        "Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||",
        "Transfer-Encoding : chunked||0||"
      })
  void aBodyWhoseEndIsInDoubtIsRefusedAndNothingBehindItIsRead(String rest) throws Exception {
    String request =
        "POST /v1/chat/completions HTTP/1.1|Host: localhost|Content-Type: application/json|" + rest;
    try (Socket socket = new Socket("127.0.0.1", gateway.port())) {
      socket.setSoTimeout(30_000);
      socket.getOutputStream().write(request.replace("|", "\r\n").getBytes(ISO_8859_1));
      String all = new String(socket.getInputStream().readAllBytes(), ISO_8859_1); // to its close
      assertThat(all).startsWith("HTTP/1.1 400").doesNotContain("200 OK");
    }
  }

  @Test
  void noOneIsLedIntoHttp2() throws Exception {
    String[] upgrade = {
      "Host: localhost",
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
    };
    assertThat(get("/v1/grid/join", upgrade)).doesNotContain("101 ").startsWith("HTTP/1.1 404");
    assertThat(get("/v1/models", upgrade)).startsWith("HTTP/1.1 200");
    assertThat(said(gateway.port(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        .doesNotContain(" 200 ")
        .doesNotContain("\u0000\u0000");
    assertThat(said(adminPort(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).doesNotContain(" 200 ");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/v1/models?key=gt-%zz",
        "/v1beta/models?key=gt-%",
        "/v1/models/a%2",
        "/v1/credits/quote?usd=%g1",
        "/api/v1/generation?id=%%"
      })
  void aBrokenPercentEncodingIsRefused(String target) throws Exception {
    assertThat(get(target, "Host: localhost"))
        .startsWith("HTTP/1.1 400")
        .contains("hexadecimal digits");
  }

  @ParameterizedTest
  @ValueSource(strings = {"/v1/chat/completions", "/v1/responses", "/v1/messages", "/mcp", "/a2a"})
  void aBodyThatIsNotUtf8IsRefused(String path) throws Exception {
    byte[] utf16 = new String(chat(LIMITS), UTF_8).getBytes(UTF_16);
    byte[] latin = new String(chat(LIMITS), UTF_8).replace("hi", "é").getBytes(ISO_8859_1);
    for (byte[] body : List.of(utf16, latin)) {
      HttpResponse<String> answer = post(path, body);
      assertThat(answer.statusCode()).isEqualTo(path.equals("/a2a") ? 200 : 400);
      assertThat(answer.body()).contains("UTF-8");
    }
  }

  // Numbers

  @ParameterizedTest
  @ValueSource(strings = {"1e30000000", "1e999999999", "\"1e30000000\"", "-1", "1e300"})
  void aPriceThatIsNoAmountIsRefusedAtOnceAndTheGatewayLivesOn(String price) throws Exception {
    byte[] body = chat(LIMITS + "\"provider\":{\"max_price\":{\"prompt\":" + price + "}},");
    assertThat(post("/v1/chat/completions", body).statusCode()).isEqualTo(400);
    assertThat(get("/v1/credits/quote?usd=" + price.replace("\"", ""), "Host: localhost"))
        .startsWith("HTTP/1.1 400")
        .contains("invalid_credits");
    assertThat(get("/health/live", "Host: localhost")).startsWith("HTTP/1.1 200");
  }

  @ParameterizedTest
  @CsvSource({
    "/v1/chat/completions, max_tokens",
    "/v1/responses, max_output_tokens",
    "/v1/messages, max_tokens",
    "/v1/completions, max_tokens"
  })
  void aLimitBeyondItsBoundIsRefusedWithTheBound(String path, String field) throws Exception {
    String asks =
        switch (path) {
          case "/v1/responses" -> "\"input\":\"hi\"";
          case "/v1/completions" -> "\"prompt\":\"hi\"";
          default -> "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
        };
    String body = "{\"model\":\"gridtie/tiny\",\"" + field + "\":2147483648," + asks + "}";
    HttpResponse<String> answer = post(path, body.getBytes(UTF_8));
    assertThat(answer.statusCode()).isEqualTo(400);
    assertThat(answer.body()).contains(field, "must be a whole number from 1 to 2147483647");
  }

  // Payments that cannot be read

  private static JsonNode rpc(String path, String method, String params) throws Exception {
    String body =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}".formatted(method, params);
    return Json.parse(post(path, body.getBytes(UTF_8)).body().getBytes(UTF_8));
  }

  @ParameterizedTest
  @ValueSource(strings = {"\"garbage\"", "7", "[]", "{}", "{\"x402Version\":2}", "true"})
  void anMcpPaymentThatIsNoneIsNamedAndNeverTakenForNone(String payment) throws Exception {
    JsonNode answer =
        rpc(
            "/mcp",
            "tools/call",
            "{\"name\":\"chat\",\"arguments\":{\"model\":\"gridtie/tiny\",\"prompt\":\"hi\"},"
                + "\"_meta\":{\"x402/payment\":"
                + payment
                + "}}");
    assertThat(answer.path("error").path("message").asString(""))
        .contains("x402/payment")
        .contains("Nothing was charged");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"x402.payment.payload\":\"garbage\"}",
        "{\"x402.payment.payload\":{}}",
        "{\"x402.payment.status\":7,\"x402.payment.payload\":{}}"
      })
  void anA2aPaymentThatIsNoneIsNamedAndNeverTakenForNone(String metadata) throws Exception {
    JsonNode answer =
        rpc(
            "/a2a",
            "message/send",
            "{\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}],"
                + "\"metadata\":"
                + metadata
                + "}}");
    assertThat(answer.path("error").path("message").asString("")).contains("x402.payment");
  }

  @Test
  void anA2aTaskWaitsOnWhereItsPaymentCannotBeRead() throws Exception {
    String message =
        "{\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}]%s}}";
    JsonNode task = rpc("/a2a", "message/send", message.formatted("")).path("result");
    assertThat(task.path("status").path("state").asString("")).isEqualTo("input-required");
    String paid =
        ",\"taskId\":\"%s\",\"metadata\":{\"x402.payment.status\":\"payment-submitted\",\"x402.payment.payload\":{\"x402Version\":2}}"
            .formatted(task.path("id").asString());
    JsonNode answer = rpc("/a2a", "message/send", message.formatted(paid));
    assertThat(answer.path("error").path("message").asString(""))
        .contains("x402.payment.payload")
        .contains("Nothing was charged");
    JsonNode now =
        rpc("/a2a", "tasks/get", "{\"id\":\"" + task.path("id").asString() + "\"}").path("result");
    assertThat(now.path("status").path("state").asString("")).isEqualTo("input-required");
  }

  @Test
  void aPaymentHeaderThatCannotBeReadIsNamed() throws Exception {
    for (String header : List.of("PAYMENT-SIGNATURE", "X-PAYMENT", "SIGN-IN-WITH-X")) {
      for (String value : List.of("garbage!", "e30=", "W10=", "=")) {
        HttpResponse<String> answer = post("/v1/chat/completions", chat(LIMITS), header, value);
        assertThat(answer.statusCode()).as(header + " " + value).isEqualTo(400);
        assertThat(answer.body()).contains("The payment cannot be read").contains("Nothing was");
      }
    }
    HttpResponse<String> twice =
        post("/v1/chat/completions", chat(LIMITS), "X-PAYMENT", "e30=", "X-PAYMENT", "e30=");
    assertThat(twice.body()).contains("X-PAYMENT stands twice");
  }

  // Web pages

  @Test
  void itsOwnPageMayAskAgentsDoorsAndAStrangersMayNot() throws Exception {
    String own = "http://127.0.0.1:" + gateway.port();
    String ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
    String head =
        "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
            + ping.length()
            + "\r\n";
    Map<String, Integer> right =
        Map.of(
            "Host: 127.0.0.1:" + gateway.port() + "\r\nOrigin: " + own,
            200,
            "Host: localhost:7\r\nOrigin: http://localhost:7",
            200,
            "Host: 127.0.0.1:" + gateway.port() + "\r\nOrigin: https://evil.example",
            403,
            "Host: localhost:7\r\nOrigin: http://localhost:8",
            403,
            "Host: localhost\r\nOrigin: null",
            403,
            "Host: evil.example\r\nOrigin: http://evil.example",
            403,
            "Host: evil.example",
            403,
            "Host: api.example.com\r\nOrigin: https://api.example.com",
            200);
    for (var each : right.entrySet()) {
      assertThat(said(gateway.port(), head + each.getKey() + "\r\n\r\n" + ping))
          .as(each.getKey())
          .startsWith("HTTP/1.1 " + each.getValue());
    }
  }

  // The operator's pages

  @Test
  void thePublicPortHasNoneOfTheOperatorsPages() throws Exception {
    for (String headers : List.of("X-Forwarded-For: 127.0.0.1", "X: y")) {
      assertThat(get("/metrics", "Host: localhost", headers)).startsWith("HTTP/1.1 404");
      assertThat(get("/log/tile/entries/000.p/1", "Host: localhost", headers))
          .startsWith("HTTP/1.1 403");
    }
    assertThat(get("/health/ready", "Host: localhost")).contains("\"status\"");
  }

  @Test
  void theOperatorHasAPortOfItsOwn() throws Exception {
    for (String page : List.of("/metrics", "/health/live", "/log/key")) {
      assertThat(said(adminPort(), "GET " + page + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
          .as(page)
          .startsWith("HTTP/1.1 200");
    }
    for (String page : List.of("/v1/models", "/v1/chat/completions", "/mcp", "/")) {
      assertThat(said(adminPort(), "GET " + page + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
          .as(page)
          .startsWith("HTTP/1.1 404");
    }
    for (String lines :
        List.of(
            "Host: evil.example",
            "Host: api.example.com",
            "Host: localhost\r\nOrigin: http://localhost",
            "Host: localhost\r\nSec-Fetch-Site: cross-site")) {
      assertThat(said(adminPort(), "GET /metrics HTTP/1.1\r\n" + lines + "\r\n\r\n"))
          .as(lines)
          .startsWith("HTTP/1.1 403");
    }
  }

  @Test
  void whereOthersReachTheOperatorsPagesATokenIsNeeded() throws Exception {
    Path token = directory.resolve("admin.token");
    String good = "0123456789abcdef0123456789abcdef";
    Files.writeString(token, good + "\n");
    CatalogConfig.Key key = new CatalogConfig.Key(null, token.toString());
    Path here = directory.resolve("gateway.yaml");
    assertThatThrownBy(() -> AdminSettings.of("0.0.0.0:0", null, 0, here, name -> null))
        .hasMessageContaining("needs an adminToken");
    assertThatThrownBy(() -> AdminSettings.of("here", null, 0, here, name -> null))
        .hasMessageContaining("HOST:PORT, PORT or off");
    assertThat(AdminSettings.of("off", key, 0, here, name -> null)).isEmpty();
    assertThat(AdminSettings.of(null, null, 4020, here, name -> null).orElseThrow())
        .isEqualTo(new AdminSettings("127.0.0.1", 4021, java.util.Optional.empty()));
    assertThat(AdminSettings.of("[::1]:7", null, 0, here, name -> null).orElseThrow().host())
        .isEqualTo("::1");
    CatalogConfig.Key weak = new CatalogConfig.Key("WEAK", null);
    assertThatThrownBy(() -> AdminSettings.of("1", weak, 0, here, name -> "letmein-letmein"))
        .hasMessageContaining("at least 32 characters")
        .hasMessageNotContaining("letmein");
    try (Gateway other =
        Gateway.start(
            parsed(
                """
                port: 0
                payTo: "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
                admin: 0.0.0.0:0
                adminToken: {file: "%s"}
                chain:
                  rpc: "http://127.0.0.1:9"
                  network: eip155:84532
                  token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
                  tokenName: USDC
                  tokenVersion: "2"
                  decimals: 6
                models: []
                """
                    .formatted(token)),
            new Home(directory.resolve("other")),
            new Install(TestGateway.ROOT))) {
      int port = other.adminUrl().orElseThrow().getPort();
      String ask = "GET /metrics HTTP/1.1\r\nHost: monitor.example\r\n";
      assertThat(said(port, ask + "\r\n")).startsWith("HTTP/1.1 401");
      assertThat(said(port, ask + "Authorization: Bearer " + good.replace('0', '1') + "\r\n\r\n"))
          .startsWith("HTTP/1.1 401")
          .doesNotContain(good);
      assertThat(said(port, ask + "Authorization: Bearer " + good + "\r\n\r\n"))
          .startsWith("HTTP/1.1 200");
    }
  }
}
