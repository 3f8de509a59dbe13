package dev.gridtie.x402.examples;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.x402.facilitator.FacilitatorDesk;
import dev.gridtie.x402.facilitator.FacilitatorDesk.Question;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/** A server that sells one answer, paid before it is given. */
final class ExampleServer {
  private static final BigInteger PRICE = BigInteger.valueOf(1_000);

  static HttpServer start(ChargeScheme charge, FacilitatorDesk desk) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/answer", exchange -> serve(exchange, charge.requirements(PRICE), desk));
    server.start();
    return server;
  }

  private static void serve(HttpExchange exchange, PaymentRequirements asked, FacilitatorDesk desk)
      throws IOException {
    try (exchange) {
      String header = exchange.getRequestHeaders().getFirst(Headers.PAYMENT_SIGNATURE);
      ResourceInfo what = new ResourceInfo("/answer", "an answer", "text/plain");
      String offer = new PaymentRequired("payment required", what, List.of(asked)).toHeader();
      exchange.getResponseHeaders().set(Headers.PAYMENT_REQUIRED, offer);
      if (header == null) {
        exchange.sendResponseHeaders(402, -1);
        return;
      }
      PaymentPayload payment = PaymentPayload.fromHeader(header);
      boolean ours = PaymentMatch.find(payment, List.of(asked)) instanceof PaymentMatch.Matched;
      ObjectNode settled = ours ? desk.settle(new Question(payment, asked)) : null;
      boolean paid = settled != null && settled.path("success").asBoolean();
      if (settled != null) {
        exchange.getResponseHeaders().set(Headers.PAYMENT_RESPONSE, Headers.encode(settled));
      }
      exchange.sendResponseHeaders(paid ? 200 : 402, paid ? 2 : -1);
      if (paid) {
        exchange.getResponseBody().write(new byte[] {'4', '2'});
      }
    } catch (MalformedPaymentException e) {
      exchange.sendResponseHeaders(400, -1);
    }
  }

  private ExampleServer() {}
}
