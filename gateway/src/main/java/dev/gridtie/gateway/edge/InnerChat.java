package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Asks for an answer from within, as OpenAI's chat completions, for doors that wrap it into another
 * protocol: the same prices, payments, limits and receipts as by HTTP.
 */
final class InnerChat {
  private final ChatHandler chat;

  InnerChat(ChatHandler chat) {
    this.chat = chat;
  }

  /**
   * Who asks.
   *
   * @param path of the door: two requests at different doors are different requests
   * @param headers that came with it: an account's key may be among them
   * @param payment the x402 payload that came along
   */
  record Asker(
      String path, MultiMap headers, Context context, Reply outer, Optional<JsonNode> payment) {
    Asker paying(JsonNode newPayment) {
      return new Asker(path, headers, context, outer, Optional.of(newPayment));
    }
  }

  /**
   * What came of it.
   *
   * @param status as by HTTP
   * @param body the completion, or an error in OpenAI's envelope
   * @param required what a 402 asks for, x402's PaymentRequired
   * @param settled how it was paid, x402's SettlementResponse
   * @param receipt its receipt's id; empty where there is none
   */
  record Said(
      int status,
      ObjectNode body,
      Optional<ObjectNode> required,
      Optional<ObjectNode> settled,
      String receipt) {

    boolean isWhole() {
      return status == 200;
    }

    /** The answer's words. */
    String words() {
      return body.path("choices").path(0).path("message").path("content").asString("");
    }

    String problem() {
      return body.path("error").path("message").asString("something went wrong");
    }

    String code() {
      return body.path("error").path("code").asString("internal_error");
    }
  }

  /** Asks, and waits for the whole answer. */
  Said ask(Asker asker, ObjectNode request) throws InterruptedException {
    return run(asker, request, chat::handle);
  }

  /** What it would cost: a 402, or an empty document where it is free. */
  Said quote(Asker asker, ObjectNode request) throws InterruptedException {
    return run(asker, request, chat::quote);
  }

  private static Said run(Asker asker, ObjectNode request, Consumer<Asked> handler)
      throws InterruptedException {
    Inbound door = Inbound.at("/v1/chat/completions", null).orElseThrow().at(asker.path());
    Captured out = new Captured();
    Reply reply = new Reply(out, door.translator()::writeError);
    CompletableFuture<Boolean> over = new CompletableFuture<>();
    reply.whenOver(() -> over.complete(true));
    asker.outer().whenGone(out::leave);
    MultiMap headers = MultiMap.caseInsensitiveMultiMap();
    String authorization = asker.headers().get("Authorization");
    if (authorization != null) {
      headers.set("Authorization", authorization);
    }
    asker.payment().ifPresent(p -> headers.set(Headers.PAYMENT_SIGNATURE, Headers.encode(p)));
    handler.accept(
        new Asked(
            door,
            headers,
            null,
            Json.writeBytes(request),
            reply,
            asker.context(),
            System.nanoTime()));
    try {
      boolean unused = over.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException(e);
    }
    return said(out);
  }

  private static Said said(Captured out) {
    ObjectNode body = Json.object();
    try {
      if (Json.parse(out.body()) instanceof ObjectNode json) {
        body = json;
      }
    } catch (Json.MalformedJsonException e) {
      // Nothing was said: whoever asked is gone.
    }
    String receipt = out.headers().get(PaidHandler.RECEIPT_HEADER);
    return new Said(
        out.status(),
        body,
        header(out, Headers.PAYMENT_REQUIRED),
        header(out, Headers.PAYMENT_RESPONSE),
        receipt == null ? "" : receipt);
  }

  private static Optional<ObjectNode> header(Captured out, String name) {
    String value = out.headers().get(name);
    try {
      return value != null && Headers.decode(value) instanceof ObjectNode json
          ? Optional.of(json)
          : Optional.empty();
    } catch (MalformedPaymentException e) {
      throw new IllegalStateException(e); // we wrote it
    }
  }
}
