package dev.gridtie.x402.chain;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.x402.chain.JsonRpc.Answered;
import dev.gridtie.x402.chain.JsonRpc.Call;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

class JsonRpcTest {
  private static final List<Call> TWO =
      List.of(new Call("first", "a"), new Call("second", Json.object(), true));

  private final List<JsonNode> seen = new CopyOnWriteArrayList<>();
  private HttpServer server;
  private volatile UnaryOperator<JsonNode> behaviour = JsonRpcTest::each;
  private volatile int batchStatus = 200;

  @BeforeEach
  void start() throws Exception {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          JsonNode asked = Json.trusted(new String(exchange.getRequestBody().readAllBytes()));
          seen.add(asked);
          byte[] answer = Json.writeBytes(behaviour.apply(asked));
          exchange.sendResponseHeaders(asked.isArray() ? batchStatus : 200, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  @Test
  void severalCallsGoInOneRequestAndTheirAnswersMayComeInAnyOrder() throws Exception {
    behaviour =
        asked -> {
          ArrayNode answers = Json.array();
          answers.add(error(asked.get(1), "no"));
          answers.add(result(asked.get(0)));
          return answers;
        };
    List<Answered> answers = rpc().askAll(TWO);
    assertThat(answers.get(0).orThrow().stringValue()).isEqualTo("first");
    assertThatThrownBy(() -> answers.get(1).orThrow())
        .isInstanceOf(JsonRpc.ErrorException.class)
        .hasMessage("second: no");
    assertThat(seen).hasSize(1);
  }

  @Test
  void aServerThatTakesNoBatchesIsAskedOneByOneAndNotInABatchAgain() throws Exception {
    JsonRpc rpc = rpc();
    batchStatus = 400;
    assertThat(rpc.askAll(TWO)).hasSize(2).allMatch(Answered.Result.class::isInstance);
    assertThat(rpc.askAll(TWO)).hasSize(2);
    assertThat(seen).hasSize(5);
    assertThat(seen.subList(1, 5)).noneMatch(JsonNode::isArray);
  }

  @Test
  void whatIsNoAnswerToEachOfThemCountsAsNone() throws Exception {
    List<UnaryOperator<JsonNode>> wrong =
        List.of(
            asked -> error(Json.object(), "batches are not supported"),
            asked -> Json.array(),
            asked -> Json.array().add(result(asked.get(0))),
            asked -> Json.array().add(result(asked.get(0))).add(result(asked.get(0))));
    for (UnaryOperator<JsonNode> one : wrong) {
      seen.clear();
      behaviour = asked -> asked.isArray() ? one.apply(asked) : each(asked);
      List<Answered> answers = rpc().askAll(TWO);
      assertThat(answers.get(1).orThrow().stringValue()).isEqualTo("second");
      assertThat(seen).hasSize(3);
    }
  }

  @Test
  void aConnectionThatBreaksBeforeTheAnswerIsTriedOnceMoreButNothingIsSentTwice() throws Exception {
    for (String method : List.of("eth_call", "eth_sendRawTransaction", "sendTransaction")) {
      int[] accepted = {0};
      try (ServerSocket closing = new ServerSocket(0, 8, InetAddress.getLoopbackAddress())) {
        Thread.ofVirtual()
            .start(
                () -> {
                  while (!closing.isClosed()) {
                    try (Socket one = closing.accept()) {
                      byte[] unused = one.getInputStream().readNBytes(1);
                      accepted[0]++;
                    } catch (IOException e) {
                      return;
                    }
                  }
                });
        JsonRpc rpc =
            new JsonRpc(
                URI.create("http://127.0.0.1:" + closing.getLocalPort()), Duration.ofSeconds(5));
        assertThatThrownBy(() -> rpc.ask(method)).isInstanceOf(UnreachableException.class);
        assertThat(accepted[0]).as(method).isEqualTo(method.equals("eth_call") ? 2 : 1);
      }
    }
  }

  @Test
  void aServerThatIsAwayIsSaidToBe() {
    JsonRpc rpc = rpc();
    server.stop(0);
    assertThatThrownBy(() -> rpc.askAll(TWO)).isInstanceOf(UnreachableException.class);
  }

  private JsonRpc rpc() {
    return new JsonRpc(
        URI.create("http://127.0.0.1:" + server.getAddress().getPort()), Duration.ofSeconds(5));
  }

  private static JsonNode each(JsonNode asked) {
    if (!asked.isArray()) {
      return result(asked);
    }
    ArrayNode answers = Json.array();
    asked.forEach(one -> answers.add(result(one)));
    return answers;
  }

  private static ObjectNode result(JsonNode asked) {
    ObjectNode answer = Json.object().put("jsonrpc", "2.0");
    answer.set("id", asked.path("id"));
    return answer.put("result", asked.path("method").asString());
  }

  private static ObjectNode error(JsonNode asked, String why) {
    ObjectNode answer = Json.object().put("jsonrpc", "2.0");
    answer.set("id", asked.path("id"));
    answer.putObject("error").put("code", -32000).put("message", why);
    return answer;
  }
}
