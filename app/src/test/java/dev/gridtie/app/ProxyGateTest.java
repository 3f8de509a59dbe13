package dev.gridtie.app;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.app.ProxyGate.Verdict;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.edge.Origins;
import io.vertx.core.MultiMap;
import java.net.URI;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProxyGateTest {
  private static final String TOKEN = "gtp-" + "ab".repeat(32);

  private final ProxyGate gate =
      new ProxyGate(
          URI.create("http://127.0.0.1:4020"),
          4022,
          Optional.of(new Secret(TOKEN)),
          new Origins(List.of("http://localhost:5173")));

  private static MultiMap headers(String... more) {
    MultiMap headers = MultiMap.caseInsensitiveMultiMap();
    headers.add("Host", "127.0.0.1:4022").add("Authorization", "Bearer " + TOKEN);
    headers.add("Content-Type", "application/json");
    for (int i = 0; i < more.length; i += 2) {
      headers.add(more[i], more[i + 1]);
    }
    return headers;
  }

  private static String code(Verdict verdict) {
    return switch (verdict) {
      case Verdict.Admitted admitted -> admitted.url().toString();
      case Verdict.Refused refused -> refused.why().code();
    };
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "//evil.example/x",
        "///evil.example/x",
        "http://evil.example/x",
        "http://127.0.0.1:4020/x",
        "HTTP://evil.example",
        "evil.example:80",
        "*",
        "",
        "@evil.example/x",
        "\\\\evil.example\\x",
        "/\\evil.example",
        "/x\\y",
        "/x y",
        "/x\ty",
        "/x#y",
        "/%zz",
        "/%",
        "/x?%zz",
        "/\u00e9",
        "/x?a=[1]",
        "/<x>"
      })
  void aTargetThatIsNoPathOfTheGatewayIsRefused(String target) {
    assertThat(code(gate.look("GET", target, headers()))).isEqualTo("invalid_target");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/",
        "/v1/models",
        "/@evil.example/x",
        "/%2f%2fevil.example/x",
        "/%5cevil.example",
        "/..//evil.example",
        "/:80/x",
        "/v1beta/models/gridtie%2Ftiny:generateContent?alt=sse",
        "/x?u=http://evil.example//y"
      })
  void whateverAPathSaysItStaysOnTheGateway(String target) {
    assertThat(code(gate.look("GET", target, headers())))
        .isEqualTo("http://127.0.0.1:4020" + target);
  }

  @ParameterizedTest
  @ValueSource(strings = {"CONNECT", "TRACE", "OPTIONS", "PUT", "PROPFIND"})
  void otherMethodsAreRefused(String method) {
    assertThat(code(gate.look(method, "/x", headers()))).isEqualTo("method_not_allowed");
  }

  @Test
  void theHostMustBeTheListenersAndThereMustBeOne() {
    for (String host :
        List.of("evil.example", "127.0.0.1", "127.0.0.1:4023", "127.0.0.1:4022.evil.example", "")) {
      assertThat(code(gate.look("GET", "/x", headers().set("Host", host))))
          .isEqualTo("invalid_host");
    }
    assertThat(code(gate.look("GET", "/x", headers().remove("Host")))).isEqualTo("invalid_host");
    assertThat(code(gate.look("GET", "/x", headers("Host", "127.0.0.1:4022"))))
        .as("twice")
        .isEqualTo("invalid_host");
    for (String host : List.of("127.0.0.1:4022", "LOCALHOST:4022", "[::1]:4022")) {
      assertThat(code(gate.look("GET", "/x", headers().set("Host", host))))
          .isEqualTo("http://127.0.0.1:4020/x");
    }
  }

  @Test
  void requestsOfWebPagesAreRefusedUnlessTheirOriginIsAllowed() {
    for (MultiMap page :
        List.of(
            headers("Origin", "https://evil.example"),
            headers("Origin", "null"),
            headers("Origin", "http://127.0.0.1:4022"),
            headers("Origin", "http://localhost:5173", "Origin", "https://evil.example"),
            headers("Sec-Fetch-Site", "cross-site"),
            headers("Sec-Fetch-Site", "same-site"),
            headers("Sec-Fetch-Site", "same-origin"),
            headers("Sec-Fetch-Site", "none"))) {
      assertThat(code(gate.look("GET", "/x", page))).isEqualTo("origin_not_allowed");
    }
    MultiMap allowed = headers("Origin", "http://localhost:5173", "Sec-Fetch-Site", "cross-site");
    assertThat(code(gate.look("POST", "/x", allowed))).isEqualTo("http://127.0.0.1:4020/x");
  }

  @Test
  void whatAFormCanPostIsRefused() {
    for (String type :
        List.of("text/plain", "text/plain;application/json", "multipart/form-data", "")) {
      assertThat(code(gate.look("POST", "/x", headers().set("Content-Type", type))))
          .isEqualTo("unsupported_media_type");
    }
    assertThat(code(gate.look("POST", "/x", headers().remove("Content-Type"))))
        .isEqualTo("unsupported_media_type");
    assertThat(
            code(gate.look("POST", "/x", headers().set("Content-Type", "application/json; a=b"))))
        .isEqualTo("http://127.0.0.1:4020/x");
  }

  @Test
  void theTokenIsTakenWhereClientsSendTheirKeyAndStaysHere() {
    MultiMap without = headers().remove("Authorization");
    assertThat(code(gate.look("GET", "/x", without))).isEqualTo("invalid_proxy_token");
    assertThat(code(gate.look("GET", "/x?key=", without))).isEqualTo("invalid_proxy_token");
    for (String header : List.of("x-api-key", "X-Goog-Api-Key", "api-key")) {
      MultiMap wrong = headers().remove("Authorization").add(header, TOKEN + "0");
      assertThat(code(gate.look("GET", "/x", wrong))).isEqualTo("invalid_proxy_token");
      MultiMap right = headers().remove("Authorization").add(header, TOKEN);
      assertThat(code(gate.look("GET", "/x", right))).isEqualTo("http://127.0.0.1:4020/x");
      assertThat(ProxyGate.isForwarded(header)).isFalse();
    }
    assertThat(ProxyGate.isForwarded("Authorization")).isFalse();
    assertThat(code(gate.look("GET", "/x?a=1&key=" + TOKEN + "&b=2", without)))
        .isEqualTo("http://127.0.0.1:4020/x?a=1&b=2");
    assertThat(code(gate.look("GET", "/x?key=" + TOKEN, without)))
        .isEqualTo("http://127.0.0.1:4020/x");
  }

  @Test
  void aClientsOwnPaymentsAndBrowserHeadersStayHere() {
    for (String header :
        List.of("PAYMENT-SIGNATURE", "X-PAYMENT", "Cookie", "Origin", "Sec-Fetch-Site", "Host")) {
      assertThat(ProxyGate.isForwarded(header)).as(header).isFalse();
    }
    assertThat(ProxyGate.isForwarded("x-stainless-os")).isTrue();
  }
}
