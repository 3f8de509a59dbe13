package dev.gridtie.bench;

import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerResponse;
import java.util.concurrent.TimeUnit;

/**
 * An OpenAI-compatible server that answers everything with the same stream: so many chunks, so many
 * milliseconds apart; or with the same short document. A process of its own, so that its work is
 * not counted as anybody else's.
 */
public final class MockUpstream {
  private static final String HEAD =
      "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock\",\"choices\":[";

  private MockUpstream() {}

  /** Arguments: port, chunks, milliseconds between chunks. Prints {@code ready} once it listens. */
  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    int chunks = Integer.parseInt(arguments[1]);
    int pauseMs = Integer.parseInt(arguments[2]);
    Vertx vertx =
        Vertx.vertx(new VertxOptions().setPreferNativeTransport(true).setEventLoopPoolSize(1));
    Buffer chunk =
        Buffer.buffer(
            HEAD + "{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n");
    Buffer last =
        Buffer.buffer(
            HEAD
                + "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                + "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock\",\"choices\":[],"
                + "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":"
                + chunks
                + ",\"total_tokens\":"
                + (9 + chunks)
                + "}}\n\n"
                + "data: [DONE]\n\n");
    Buffer whole =
        Buffer.buffer(
            "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":"
                + "{\"role\":\"assistant\",\"content\":\"word\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
                + "\"completion_tokens\":1,\"total_tokens\":10}}");
    var unused =
        vertx
            .createHttpServer(new HttpServerOptions().setTcpNoDelay(true))
            .requestHandler(
                request ->
                    request
                        .body()
                        .onSuccess(
                            body -> {
                              HttpServerResponse response = request.response();
                              if (!asksForStream(body)) {
                                var sent =
                                    response
                                        .putHeader("Content-Type", "application/json")
                                        .end(whole);
                                return;
                              }
                              response
                                  .setChunked(true)
                                  .putHeader("Content-Type", "text/event-stream");
                              int pause = isSlow(body) ? SLOWER * pauseMs : pauseMs;
                              answer(vertx, response, chunk, last, chunks, pause);
                            }))
            .listen(port, "127.0.0.1")
            .toCompletionStage()
            .toCompletableFuture()
            .get(10, TimeUnit.SECONDS);
    System.out.println("ready");
    System.in.transferTo(
        java.io.OutputStream.nullOutputStream()); // until the parent closes it, or is gone
    System.exit(0);
  }

  private static final int SLOWER = 40;

  private static boolean isSlow(Buffer body) {
    int edge = Math.min(body.length(), 200);
    return body.getString(body.length() - edge, body.length()).contains("\"user\":\"slow\"");
  }

  /** The field stands near one end of every body here. */
  private static boolean asksForStream(Buffer body) {
    int edge = Math.min(body.length(), 200);
    return body.getString(0, edge).contains("\"stream\":true")
        || body.getString(body.length() - edge, body.length()).contains("\"stream\":true");
  }

  private static void answer(
      Vertx vertx, HttpServerResponse response, Buffer chunk, Buffer last, int left, int pauseMs) {
    if (response.closed()) {
      return;
    }
    if (left == 0) {
      var unused = response.end(last);
      return;
    }
    var unused = response.write(chunk);
    if (pauseMs == 0) {
      answer(vertx, response, chunk, last, left - 1, 0);
    } else {
      long timer =
          vertx.setTimer(pauseMs, id -> answer(vertx, response, chunk, last, left - 1, pauseMs));
    }
  }
}
