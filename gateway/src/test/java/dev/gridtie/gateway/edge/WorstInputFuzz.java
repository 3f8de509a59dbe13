package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.nodes.Invitation;
import dev.gridtie.gateway.route.Preferences;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.testkit.Size;
import dev.gridtie.testkit.WorstInput;
import io.vertx.core.MultiMap;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** No parser of this module is brought to a stand by any input that it takes. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WorstInputFuzz {
  private static final int BODY = Size.of(128 * 1024, 1024 * 1024);

  /** The longest request line, and all headers together. */
  private static final int LINE = 8 * 1024;

  private static final int HEADERS = 64 * 1024;

  private static String text(byte[] bytes) {
    return new String(bytes, UTF_8);
  }

  private static MultiMap headers(String name, byte[] value) {
    return MultiMap.caseInsensitiveMultiMap().add(name, text(value));
  }

  @Test
  void bodies() {
    WorstInput.search(
        "JSON-RPC calls",
        BODY,
        List.of("@", "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":@}", "{\"method\":@}"),
        bytes -> {
          JsonRpcCall call = JsonRpcCall.read(bytes);
          Json.write(call.failed(JsonRpcCall.METHOD_NOT_FOUND, call.method()));
        });
    WorstInput.search(
        "preferences",
        BODY,
        List.of(
            "@",
            "{\"max_price\":{\"prompt\":@}}",
            "{\"order\":@}",
            "{\"sort\":@}",
            "{\"min_quantization\":@}",
            "{\"preferred_min_throughput\":@}"),
        bytes -> Preferences.read(Json.parse(bytes)));
    WorstInput.search(
        "requests for embeddings",
        BODY,
        List.of("@", "{\"model\":\"m\",\"input\":@}", "{\"requests\":@}"),
        bytes -> {
          for (EmbeddingsForm form : EmbeddingsForm.values()) {
            form.read("m", Json.parse(bytes));
          }
        });
  }

  @Test
  void linesAndHeaders() {
    Hosts hosts = new Hosts(false, Set.of());
    WorstInput.search(
        "targets",
        LINE,
        List.of("@", "/v1beta/models/@:generateContent", "/v1beta/models?@", "http://@", "/?@"),
        bytes -> {
          String target = text(bytes);
          HttpRules.refusal(false, target, headers("Host", "localhost".getBytes(UTF_8)), hosts);
          Inbound.at(target, target);
          Credentials.key(MultiMap.caseInsensitiveMultiMap(), target);
        });
    WorstInput.search(
        "hosts",
        HEADERS,
        List.of("@", "[@]", "a:@"),
        bytes -> HttpRules.refusal(false, "/", headers("Host", bytes), hosts));
    WorstInput.search(
        "credentials",
        HEADERS,
        List.of("@", "Bearer @", "Bearer gt-@"),
        bytes -> Credentials.key(headers("Authorization", bytes), null));
    WorstInput.search(
        "origins",
        HEADERS,
        List.of("@", "http://@"),
        bytes -> {
          boolean unused = hosts.isOwn(text(bytes), "localhost");
        });
    WorstInput.search(
        "invitations", HEADERS, List.of("@", "gtinv_@.AAAA"), b -> Invitation.read(text(b)));
    WorstInput.search("credits", LINE, List.of("@", "1.@"), b -> Credits.read(text(b)));
  }
}
