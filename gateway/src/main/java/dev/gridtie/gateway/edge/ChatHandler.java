package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.edge.Reply.GoneException;
import dev.gridtie.gateway.gate.Order;
import dev.gridtie.gateway.gate.PaymentDesk;
import dev.gridtie.gateway.gate.PaymentDesk.Admission;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.gate.Ticket;
import dev.gridtie.gateway.relay.Answer;
import dev.gridtie.gateway.relay.AnswerSource;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatAnswer;
import dev.gridtie.wire.openai.ChatRequest;
import dev.gridtie.wire.openai.ChatRequestReader;
import dev.gridtie.wire.openai.ErrorEnvelope;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import dev.gridtie.x402.wire.SettleResponse;
import io.vertx.core.MultiMap;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code POST /v1/chat/completions}: reads, quotes, takes the payment, and hands the answer on as
 * it comes.
 */
final class ChatHandler {
  static final String PATH = "/v1/chat/completions";
  static final String RECEIPT_HEADER = "X-Gridtie-Receipt";

  private final Orders orders;
  private final PaymentDesk desk;
  private final ChargeScheme charge;
  private final String resourceUrl;
  private final InstantSource clock;
  private final RandomGenerator random;

  /**
   * @param publicUrl under which clients reach this gateway
   */
  ChatHandler(
      Catalog catalog,
      PaymentDesk desk,
      ChargeScheme charge,
      String publicUrl,
      InstantSource clock,
      RandomGenerator random) {
    this.clock = clock;
    this.random = random;
    this.orders = new Orders(catalog, charge.decimals());
    this.desk = desk;
    this.charge = charge;
    this.resourceUrl = publicUrl + PATH;
  }

  /** Serves one request, on a thread of its own. */
  void handle(MultiMap headers, byte[] body, Reply reply) {
    try {
      serve(headers, body, reply);
    } catch (MalformedPaymentException e) {
      reply.error(malformed(e));
    } catch (StoreException e) {
      System.err.println("gridtie: " + e.getMessage());
      reply.error(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE, "ledger_unavailable", "The ledger cannot be read now."));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static ApiError malformed(MalformedPaymentException e) {
    String why = e.getMessage();
    String code =
        why.startsWith("invalid_x402_version") ? "invalid_x402_version" : "invalid_payload";
    return ApiError.invalid(
        code, "The payment cannot be read: " + why + ". Nothing was charged.", null);
  }

  private void serve(MultiMap headers, byte[] body, Reply reply)
      throws MalformedPaymentException, InterruptedException {
    String fingerprint =
        Hex.encode(Hashes.sha256(("POST " + PATH + "\n").getBytes(UTF_8), body)).substring(2);
    Optional<PaymentPayload> payment = payment(headers);
    if (payment.isPresent()) {
      // Before anything that depends on the present: what was paid for is given again whatever the
      // prices are now.
      Optional<Admission> before = desk.recall(payment.get(), fingerprint);
      if (before.isPresent()) {
        give(before.get(), isStream(body), reply, payment.get(), Optional.empty());
        return;
      }
    }
    switch (orders.read(body, fingerprint)) {
      case Outcome.Refused<Order> refused -> reply.error(refused.error());
      case Outcome.Ok<Order> ok -> quoteOrServe(ok.value(), payment, reply);
    }
  }

  private static Optional<PaymentPayload> payment(MultiMap headers)
      throws MalformedPaymentException {
    String v2 = headers.get(Headers.PAYMENT_SIGNATURE);
    if (v2 != null) {
      return Optional.of(PaymentPayload.fromHeader(v2));
    }
    String v1 = headers.get(Headers.X_PAYMENT);
    return v1 == null ? Optional.empty() : Optional.of(PaymentPayload.fromV1Header(v1));
  }

  private static boolean isStream(byte[] body) {
    return ChatRequestReader.read(body) instanceof Outcome.Ok<ChatRequest> ok
        && ok.value().stream();
  }

  private void quoteOrServe(Order order, Optional<PaymentPayload> payment, Reply reply)
      throws MalformedPaymentException, InterruptedException {
    if (order.model().isFree()) {
      serveFree(order, reply);
      return;
    }
    PaymentRequired required = required(order, "PAYMENT-SIGNATURE header is required");
    if (payment.isEmpty()) {
      ApiError error =
          ApiError.of(
              ApiError.Kind.PAYMENT_REQUIRED,
              "payment_required",
              "This request costs at most "
                  + order.model().price(order.promptTokens(), order.maxTokens())
                  + " ("
                  + order.quote()
                  + " atomic units). Pay it by x402: sign one of 'accepts' (or of the PAYMENT-REQUIRED header) and send the"
                  + " same request again with the signature in PAYMENT-SIGNATURE.");
      reply.error(
          error, body402(error, required), Map.of(Headers.PAYMENT_REQUIRED, required.toHeader()));
      return;
    }
    switch (PaymentMatch.find(payment.get(), required.accepts())) {
      case PaymentMatch.Unmatched unmatched -> {
        ApiError error =
            ApiError.of(
                ApiError.Kind.PAYMENT_REQUIRED,
                unmatched.why().code(),
                "The payment was not taken: "
                    + unmatched.why().message()
                    + ". Nothing was charged.");
        refuse(error, null, reply, payment.get(), Optional.of(order));
      }
      case PaymentMatch.Matched matched -> {
        Admission admission = desk.admit(order, payment.get(), matched.requirements());
        give(admission, order.request().stream(), reply, payment.get(), Optional.of(order));
      }
    }
  }

  private PaymentRequired required(Order order, String error) {
    PaymentRequirements requirements = charge.requirements(order.quote());
    return new PaymentRequired(
        error,
        new ResourceInfo(
            resourceUrl, "Chat completion by " + order.model().id(), "application/json"),
        List.of(requirements));
  }

  /**
   * For an OpenAI client the error, for an x402 v1 client its version and list: one body that both
   * can read.
   */
  private static ObjectNode body402(ApiError error, PaymentRequired required) {
    ObjectNode body = ErrorEnvelope.of(error);
    body.put("x402Version", 1);
    body.set("accepts", required.toV1Accepts());
    return body;
  }

  private void refuse(
      ApiError error,
      @Nullable SettleResponse settlement,
      Reply reply,
      PaymentPayload payment,
      Optional<Order> order) {
    Map<String, String> headers = new HashMap<>();
    if (settlement != null) {
      headers.put(responseHeader(payment), settlement.toHeader());
    }
    ObjectNode body = ErrorEnvelope.of(error);
    if (error.kind() == ApiError.Kind.PAYMENT_REQUIRED && order.isPresent()) {
      PaymentRequired again = required(order.get(), error.code());
      headers.put(Headers.PAYMENT_REQUIRED, again.toHeader());
      body = body402(error, again);
    }
    reply.error(error, body, headers);
  }

  private static String responseHeader(PaymentPayload payment) {
    return payment.version() == 1 ? Headers.X_PAYMENT_RESPONSE : Headers.PAYMENT_RESPONSE;
  }

  private void give(
      Admission admission,
      boolean stream,
      Reply reply,
      PaymentPayload payment,
      Optional<Order> order)
      throws InterruptedException {
    switch (admission) {
      case Admission.Refuse refuse ->
          refuse(refuse.error(), refuse.settlement(), reply, payment, order);
      case Admission.Replay replay -> replay(replay, stream, reply, payment);
      case Admission.Serve serve -> {
        Ticket ticket = serve.ticket();
        Leaving leaving = new Leaving(ticket);
        reply.whenGone(leaving::now);
        try {
          switch (ticket.awaitGate()) {
            case Ticket.Gate.Shut shut ->
                refuse(shut.error(), shut.settlement(), reply, payment, order);
            case Ticket.Gate.Open open ->
                deliver(open, ticket, order.orElseThrow(), reply, payment);
          }
        } catch (GoneException e) {
          // Leaving, below, stops the answer and settles up.
        } finally {
          leaving.now();
        }
      }
    }
  }

  /**
   * Leaves a ticket once, whoever notices first that the client is gone or done. Never on the event
   * loop: it may block.
   */
  private static final class Leaving {
    private final Ticket ticket;
    private final AtomicBoolean left = new AtomicBoolean();

    Leaving(Ticket ticket) {
      this.ticket = ticket;
    }

    void now() {
      if (left.compareAndSet(false, true)) {
        Thread.ofVirtual().start(ticket::leave);
      }
    }
  }

  private static void paidHeaders(
      Reply reply, PaymentPayload payment, SettleResponse settlement, String receiptId) {
    reply.header(responseHeader(payment), settlement.toHeader());
    reply.header(RECEIPT_HEADER, receiptId);
    reply.header("Cache-Control", "private, no-store");
  }

  /** A paid answer's account: the ticket keeps it. */
  private record PaidAccount(Ticket.Gate.Open open, Ticket ticket, PaymentPayload payment)
      implements ChatDelivery.Account {
    @Override
    public void headers(Reply reply) {
      paidHeaders(reply, payment, open.settlement(), open.receiptId());
    }

    @Override
    public void delivered(int completionTokens) {
      ticket.delivered(completionTokens);
    }

    @Override
    public void finish(boolean whole) {
      if (whole) {
        ticket.deliveredWhole();
      }
      boolean unused = ticket.finish();
    }

    @Override
    public ApiError brokenEarly(ApiError error) {
      String consolation =
          " The payment stands and nothing was charged against it: send the same request with the same payment again to"
              + " get the answer.";
      return ApiError.of(error.kind(), error.code(), error.message() + "." + consolation);
    }
  }

  private static void deliver(
      Ticket.Gate.Open open, Ticket ticket, Order order, Reply reply, PaymentPayload payment)
      throws GoneException, InterruptedException {
    ChatAnswer chat = new ChatAnswer(open.answerId(), open.created(), order.model().id());
    ChatDelivery delivery = new ChatDelivery(reply, chat, new PaidAccount(open, ticket, payment));
    give(delivery, open.answer(), order.request());
  }

  private static void give(ChatDelivery delivery, Answer answer, ChatRequest request)
      throws GoneException, InterruptedException {
    if (request.stream()) {
      delivery.stream(answer, request.includeUsage());
    } else {
      delivery.whole(answer);
    }
  }

  /** A model that costs nothing: no payment, no hold, no receipt. */
  private void serveFree(Order order, Reply reply) throws InterruptedException {
    Answer answer = new Answer();
    long seed = order.request().seed().orElseGet(random::nextLong);
    switch (order.model().source().answer(order.request(), order.maxTokens(), seed, answer)) {
      case Outcome.Refused<AnswerSource.Cancellation> refused -> reply.error(refused.error());
      case Outcome.Ok<AnswerSource.Cancellation> ok -> {
        reply.whenGone(ok.value()::cancel);
        long created = clock.instant().getEpochSecond();
        ChatAnswer chat =
            new ChatAnswer(Ids.random("chatcmpl-", random), created, order.model().id());
        try {
          give(new ChatDelivery(reply, chat, new FreeAccount()), answer, order.request());
        } catch (GoneException e) {
          ok.value().cancel();
        }
      }
    }
  }

  /** Nothing is kept of an answer that costs nothing. */
  private record FreeAccount() implements ChatDelivery.Account {
    @Override
    public void headers(Reply reply) {
      reply.header("Cache-Control", "private, no-store");
    }

    @Override
    public void delivered(int completionTokens) {}

    @Override
    public void finish(boolean whole) {}

    @Override
    public ApiError brokenEarly(ApiError error) {
      return error;
    }
  }

  private static void replay(
      Admission.Replay replay, boolean stream, Reply reply, PaymentPayload payment) {
    StoredAnswer stored = replay.answer();
    ChatAnswer.Usage usage = new ChatAnswer.Usage(stored.promptTokens(), stored.completionTokens());
    ChatAnswer chat = new ChatAnswer(replay.answerId(), stored.created(), stored.model());
    paidHeaders(reply, payment, replay.settlement(), stored.receiptId());
    try {
      if (!stream) {
        reply.send(200, "application/json", chat.whole(stored.text(), stored.finish(), usage));
        return;
      }
      reply.beginEvents();
      reply.end(
          chat.opening()
              + chat.piece(stored.text())
              + chat.closing(stored.finish())
              + (stored.withUsage() ? chat.usage(usage) : "")
              + ChatAnswer.DONE);
    } catch (GoneException e) {
      // It can be asked for again.
    }
  }
}
