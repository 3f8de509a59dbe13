package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.edge.Planner.Planned;
import dev.gridtie.gateway.edge.Reply.GoneException;
import dev.gridtie.gateway.gate.Order;
import dev.gridtie.gateway.gate.PaymentDesk;
import dev.gridtie.gateway.gate.PaymentDesk.Admission;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.gate.Ticket;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.gateway.watch.Seen;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.permit2.ApprovalSponsoring;
import dev.gridtie.x402.evm.permit2.GasSponsoring;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.offer.OfferReceipts;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentIdentifier;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.ResourceInfo;
import dev.gridtie.x402.wire.SettleResponse;
import io.vertx.core.MultiMap;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/** Serves requests that are paid by the call: quotes, takes the payment, hands the answer on. */
final class PaidHandler {
  static final String RECEIPT_HEADER = "X-Gridtie-Receipt";

  private final Services services;
  private final SealMemory memory;
  private final PaymentDesk desk;
  private final String publicUrl;

  /**
   * @param publicUrl under which clients reach this gateway
   */
  PaidHandler(Services services, SealMemory memory, String publicUrl) {
    this.services = services;
    this.memory = memory;
    this.desk = services.desk();
    this.publicUrl = publicUrl;
  }

  /** The payment that came with a request. */
  static Optional<PaymentPayload> payment(MultiMap headers) throws MalformedPaymentException {
    Optional<String> v2 = single(headers, Headers.PAYMENT_SIGNATURE);
    if (v2.isPresent()) {
      return Optional.of(PaymentPayload.fromHeader(v2.get()));
    }
    Optional<String> v1 = single(headers, Headers.X_PAYMENT);
    return v1.isEmpty() ? Optional.empty() : Optional.of(PaymentPayload.fromV1Header(v1.get()));
  }

  /** A header that may stand once: of two payments it would be a guess which one is meant. */
  private static Optional<String> single(MultiMap headers, String name)
      throws MalformedPaymentException {
    List<String> values = headers.getAll(name);
    if (values.size() > 1) {
      throw new MalformedPaymentException("the header " + name + " stands twice");
    }
    return values.stream().findFirst();
  }

  /** The sign-in that came with a request. */
  static Optional<SignIn> signIn(MultiMap headers) throws MalformedPaymentException {
    Optional<String> header = single(headers, SignIn.HEADER);
    return header.isEmpty() ? Optional.empty() : Optional.of(SignIn.fromHeader(header.get()));
  }

  static ApiError malformed(MalformedPaymentException e) {
    String why = e.getMessage();
    String code =
        why.startsWith("invalid_x402_version") ? "invalid_x402_version" : "invalid_payload";
    return ApiError.invalid(
        code, "The payment cannot be read: " + why + ". Nothing was charged.", null);
  }

  private static String fingerprint(Asked asked) {
    byte[] line = ("POST " + asked.inbound().path() + "\n").getBytes(UTF_8);
    return Hex.encode(Hashes.sha256(line, asked.body())).substring(2);
  }

  /**
   * Gives again what was paid for before, whatever the prices are now; whether there was such a
   * thing.
   */
  boolean recall(Asked asked, PaymentPayload payment)
      throws MalformedPaymentException, InterruptedException {
    Optional<Admission> before = desk.recall(payment, fingerprint(asked));
    if (before.isPresent()) {
      give(asked, before.get(), payment.version(), payer(payment), Optional.empty());
    }
    return before.isPresent();
  }

  /** Serves a signed-in wallet from its balance; quotes where that does not reach. */
  void serveSignedIn(Asked asked, Planned planned, SignIn signIn)
      throws MalformedPaymentException, InterruptedException {
    Optional<Refusal> wrong = signIn.refusal(URI.create(publicUrl), services.clock().instant());
    switch (order(asked, planned)) {
      case Outcome.Refused<Order> refused -> asked.reply().error(refused.error());
      case Outcome.Ok<Order> ok -> {
        if (wrong.isPresent()) {
          refuse(
              asked,
              ApiError.of(
                  ApiError.Kind.PAYMENT_REQUIRED,
                  wrong.get().code(),
                  "The sign-in was not taken: " + wrong.get().message() + ". Nothing was charged."),
              null,
              2,
              Optional.of(ok.value()));
          return;
        }
        Optional<Admission> admission =
            desk.admitBalance(remembered(ok.value(), "x402:" + signIn.account()), signIn);
        if (admission.isPresent()) {
          give(asked, admission.get(), 2, "x402:" + signIn.account(), Optional.of(ok.value()));
        } else {
          refuse(
              asked,
              ApiError.of(
                  ApiError.Kind.PAYMENT_REQUIRED,
                  "insufficient_balance",
                  "This request costs at most "
                      + ok.value().quote()
                      + ", and the wallet's balance here is "
                      + desk.balance(signIn)
                      + ". Pay it by x402; nothing was charged."),
              null,
              2,
              Optional.of(ok.value()));
        }
      }
    }
  }

  /** Gives again what this sign-in was used for before; whether there was such a thing. */
  boolean recall(Asked asked, SignIn signIn)
      throws MalformedPaymentException, InterruptedException {
    if (signIn.refusal(URI.create(publicUrl), services.clock().instant()).isPresent()) {
      return false;
    }
    Optional<Admission> before = desk.recall(signIn, fingerprint(asked));
    if (before.isPresent()) {
      give(asked, before.get(), 2, "x402:" + signIn.account(), Optional.empty());
    }
    return before.isPresent();
  }

  /** Quotes, or serves what is paid. */
  void serve(Asked asked, Planned planned, Optional<PaymentPayload> payment)
      throws MalformedPaymentException, InterruptedException {
    switch (order(asked, planned)) {
      case Outcome.Refused<Order> refused -> asked.reply().error(refused.error());
      case Outcome.Ok<Order> ok -> {
        if (payment.isEmpty()) {
          quote(asked, ok.value());
        } else {
          admit(asked, ok.value(), payment.get());
        }
      }
    }
  }

  /** While no coin is cleared. */
  static ApiError paymentsClosed() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "payments_unavailable",
        "No price can be named now: the chain has not confirmed the coin that is paid in. Come"
            + " again in a moment, with the same payment where you have sent one: it is never"
            + " charged twice. Or send an account's key.");
  }

  // The order

  /** What would be done, and what it costs at most: only for endpoints that take the request. */
  private Outcome<Order> order(Asked asked, Planned planned) {
    if (planned.job().texts().isPresent()) {
      int prompt = (int) planned.promptBound();
      return Outcome.ok(order(asked, planned, planned.plan().legs(), prompt, 0));
    }
    if (planned.job().request().isEmpty()) {
      return Outcome.refused(
          ApiError.invalid(
              "unsupported_parameter",
              "This request cannot be priced here; send it with an account's key.",
              null));
    }
    ChatRequest request = planned.job().request().get();
    int prompt = 0;
    ApiError unfit = null;
    List<Leg> fit = new java.util.ArrayList<>();
    for (Leg leg : planned.plan().legs()) {
      switch (leg.endpoint().channels().getFirst().source().promptTokens(request)) {
        case Outcome.Ok<Integer> ok -> {
          // Of a document nothing tells how long it is: at most as long as the model takes.
          boolean unknown = ok.value() == Integer.MAX_VALUE || planned.promptUnknown();
          prompt = Math.max(prompt, unknown ? leg.endpoint().contextTokens() : ok.value());
          fit.add(leg);
        }
        case Outcome.Refused<Integer> refused -> unfit = unfit == null ? refused.error() : unfit;
      }
    }
    if (fit.isEmpty() && unfit != null) {
      return Outcome.refused(unfit);
    }
    int tokens = prompt;
    return MaxTokens.of(request, fit, tokens)
        .then(max -> Outcome.ok(order(asked, planned, fit, tokens, max)));
  }

  private Order order(Asked asked, Planned planned, List<Leg> fit, int prompt, int maxTokens) {
    Job job = planned.job();
    Plan plan = new Plan(fit, false, Heads.of(asked.inbound(), job, "", 0));
    PicoUsd quote = plan.bound(prompt, planned.answerBound(maxTokens));
    return new Order(
        fingerprint(asked),
        Hex.encode(Hashes.sha256(asked.body())).substring(2),
        job.withLimit(maxTokens).within(new Job.Bound(prompt, planned.answerBound(maxTokens))),
        plan,
        prompt,
        maxTokens,
        quote);
  }

  /** What a 402 says; empty while no coin is cleared. */
  private Optional<PaymentRequired> required(Asked asked, Order order, String error) {
    List<PaymentRequirements> accepts = services.offers().requirements(order.quote());
    return accepts.isEmpty()
        ? Optional.empty()
        : Optional.of(
            new PaymentRequired(
                error,
                new ResourceInfo(
                    publicUrl + asked.inbound().path(),
                    "An answer by " + order.plan().first().model().id(),
                    "application/json"),
                accepts,
                extensions(asked, accepts)));
  }

  /** A wallet with a balance here may use it by signing in. */
  private ObjectNode extensions(Asked asked, List<PaymentRequirements> accepts) {
    ObjectNode extensions = Json.object();
    extensions.set(
        SignIn.EXTENSION,
        SignIn.challenge(
            URI.create(publicUrl),
            publicUrl + asked.inbound().path(),
            "Pay for this request from your balance",
            Ids.random("", services.random()),
            services.clock().instant(),
            services.offers().networks()));
    extensions.set(PaymentIdentifier.EXTENSION, PaymentIdentifier.declaration());
    if (accepts.stream().anyMatch(PaidHandler::isByPermit2)) {
      extensions.set(GasSponsoring.KEY, GasSponsoring.declaration());
      if (services.offers().sponsorsApprovals()) {
        extensions.set(ApprovalSponsoring.KEY, ApprovalSponsoring.declaration());
      }
    }
    extensions.set(
        OfferReceipts.EXTENSION,
        services
            .statements()
            .offers(publicUrl + asked.inbound().path(), accepts, services.clock().instant()));
    return extensions;
  }

  private static boolean isByPermit2(PaymentRequirements one) {
    return one.scheme().equals("upto")
        || (one.scheme().equals("exact")
            && Permit2Types.METHOD.equals(Json.text(one.extra(), "assetTransferMethod")));
  }

  private void quote(Asked asked, Order order) {
    Optional<PaymentRequired> open = required(asked, order, "PAYMENT-SIGNATURE header is required");
    if (open.isEmpty()) {
      asked.reply().error(paymentsClosed());
      return;
    }
    PaymentRequired required = open.get();
    ApiError error =
        ApiError.of(
            ApiError.Kind.PAYMENT_REQUIRED,
            "payment_required",
            "This request costs at most "
                + order.quote()
                + " ("
                + required.accepts().getFirst().amount()
                + " atomic units). Pay it by x402: sign one of 'accepts' (or of the"
                + " PAYMENT-REQUIRED header) and send the same request again with the signature in"
                + " PAYMENT-SIGNATURE; or send an account's key.");
    asked
        .reply()
        .error(
            error,
            body402(asked, error, required),
            Map.of(Headers.PAYMENT_REQUIRED, required.toHeader()));
  }

  /**
   * For the client's dialect the error, for an x402 v1 client its version and list: one body that
   * both can read.
   */
  private static ObjectNode body402(Asked asked, ApiError error, PaymentRequired required) {
    ObjectNode body = asked.reply().errorBody(error);
    body.put("x402Version", 1);
    body.set("accepts", required.toV1Accepts());
    return body;
  }

  // The payment

  private void admit(Asked asked, Order order, PaymentPayload payment)
      throws MalformedPaymentException, InterruptedException {
    Optional<PaymentRequired> open = required(asked, order, "PAYMENT-SIGNATURE header is required");
    if (open.isEmpty()) {
      asked.reply().error(paymentsClosed());
      return;
    }
    PaymentRequired required = open.get();
    switch (PaymentMatch.find(payment, required.accepts())) {
      case PaymentMatch.Unmatched unmatched -> {
        ApiError error =
            ApiError.of(
                ApiError.Kind.PAYMENT_REQUIRED,
                unmatched.why().code(),
                "The payment was not taken: "
                    + unmatched.why().message()
                    + ". Nothing was charged.");
        refuse(asked, error, null, payment.version(), Optional.of(order));
      }
      case PaymentMatch.Matched matched ->
          give(
              asked,
              desk.admit(remembered(order, payer(payment)), payment, matched.requirements()),
              payment.version(),
              payer(payment),
              Optional.of(order));
    }
  }

  /** Under whose name a payer's sealed state is kept. */
  private String payer(PaymentPayload payment) throws MalformedPaymentException {
    ChargeScheme charge = services.offers().of(payment).orElseThrow().charge();
    return "x402:" + charge.payer(payment);
  }

  /**
   * The order with what the payer's client has lost put back. The price stays that of what the
   * client sent: the state was paid for when it was made.
   */
  private Order remembered(Order order, String payer) {
    return order
        .job()
        .request()
        .map(
            request -> {
              ChatRequest restored = memory.restore(payer, request);
              return restored == request ? order : order.withRequest(restored);
            })
        .orElse(order);
  }

  private static ApiError pending() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "payment_in_progress",
        "This payment-identifier was paid for before, and its answer is still being given. Send the"
            + " same again in a moment; this payment was not taken.");
  }

  private void refuse(
      Asked asked,
      ApiError error,
      @Nullable SettleResponse settlement,
      int version,
      Optional<Order> order) {
    refuse(asked, error, settlement, Json.object(), version, order);
  }

  /**
   * @param correction what the payer has got wrong on its channel; may be empty
   */
  private void refuse(
      Asked asked,
      ApiError error,
      @Nullable SettleResponse settlement,
      ObjectNode correction,
      int version,
      Optional<Order> order) {
    Map<String, String> headers = new HashMap<>();
    if (settlement != null) {
      headers.put(responseHeader(version), settlement.toHeader());
    }
    ObjectNode body = asked.reply().errorBody(error);
    if (error.kind() == ApiError.Kind.PAYMENT_REQUIRED && order.isPresent()) {
      Optional<PaymentRequired> open = required(asked, order.get(), error.code());
      if (open.isPresent()) {
        PaymentRequired again = open.get().corrected(BatchTypes.SCHEME, correction);
        headers.put(Headers.PAYMENT_REQUIRED, again.toHeader());
        body = body402(asked, error, again);
      }
    }
    asked.reply().error(error, body, headers);
  }

  static String responseHeader(int version) {
    return version == 1 ? Headers.X_PAYMENT_RESPONSE : Headers.PAYMENT_RESPONSE;
  }

  /**
   * @param version of x402
   * @param account under whose name sealed state is kept
   */
  private void give(
      Asked asked, Admission admission, int version, String account, Optional<Order> order)
      throws InterruptedException {
    switch (admission) {
      case Admission.Refuse refuse ->
          refuse(asked, refuse.error(), refuse.settlement(), refuse.correction(), version, order);
      case Admission.Replay replay -> replay(asked, replay, version);
      case Admission.Serve serve -> {
        Ticket ticket = serve.ticket();
        Leaving leaving = new Leaving(ticket);
        asked.reply().whenGone(leaving::now);
        try {
          switch (ticket.awaitGate()) {
            case Ticket.Gate.Known known -> {
              Optional<Admission> before = desk.answered(known.paymentKey());
              if (before.isPresent()) {
                give(asked, before.get(), version, account, order);
              } else {
                refuse(asked, pending(), null, version, order);
              }
            }
            case Ticket.Gate.Shut shut ->
                refuse(asked, shut.error(), shut.settlement(), shut.correction(), version, order);
            case Ticket.Gate.Open open -> {
              try {
                new PaidDelivery(this, asked, order.orElseThrow(), open, ticket, version).give();
              } finally {
                seen(asked, order.orElseThrow(), ticket, open);
                if (open.answer().endIfAny().orElse(null) instanceof Answer.End.Whole whole) {
                  memory.remember(account, whole.ending().parts());
                }
              }
            }
          }
        } catch (GoneException e) {
          // Leaving, below, stops the answer and settles up.
        } finally {
          leaving.now();
        }
      }
    }
  }

  private void seen(Asked asked, Order order, Ticket ticket, Ticket.Gate.Open open) {
    asked.reply().noted();
    Leg leg = ticket.servedBy().orElse(order.plan().first());
    Answer.End end = open.answer().endIfAny().orElse(null);
    boolean whole = end instanceof Answer.End.Whole w && !w.ending().cancelled();
    Usage usage = end instanceof Answer.End.Whole w ? w.ending().usage() : Usage.NONE;
    long ms = Duration.ofNanos(System.nanoTime() - asked.receivedNanos()).toMillis();
    services
        .watch()
        .over(
            new Seen(
                open.receiptId(),
                services.clock().instant().minusMillis(ms),
                asked.inbound().path(),
                asked.inbound().translator().dialect().label(),
                "x402",
                leg.model().id(),
                leg.endpoint().provider(),
                leg.endpoint().dialect().map(Dialect::label).orElse("engine"),
                order.job().stream(),
                usage,
                leg.endpoint().prices().cost(usage),
                whole ? "stop" : "error",
                whole && !asked.reply().isGone() ? "ok" : "cut",
                ms,
                ms,
                services.keepWords() ? words(asked, open.answer()) : null));
  }

  private static Seen.Words words(Asked asked, Answer answer) {
    String said = answer.text(Long.MAX_VALUE);
    return new Seen.Words(
        new String(asked.body(), 0, Math.min(asked.body().length, Seen.WORDS_MAX), UTF_8),
        said.substring(0, Math.min(said.length(), Seen.WORDS_MAX)));
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

  /**
   * @param settlement null where it is not known yet
   * @param created Unix seconds, of the answer
   */
  void paidHeaders(
      Asked asked,
      int version,
      @Nullable SettleResponse settlement,
      String receiptId,
      long created) {
    Reply reply = asked.reply();
    if (settlement != null) {
      reply.header(
          responseHeader(version), receipted(asked, version, settlement, created).toHeader());
    }
    reply.header(RECEIPT_HEADER, receiptId);
    reply.header("Cache-Control", "private, no-store");
  }

  /**
   * A settled payment's response, with the signed statement that it was answered: the same, to the
   * byte, whenever it is asked for again.
   *
   * @param created Unix seconds, of the answer
   */
  SettleResponse receipted(Asked asked, int version, SettleResponse settlement, long created) {
    String payer = settlement.payer();
    return version == 1 || !settlement.success() || payer == null
        ? settlement
        : settlement.withExtension(
            OfferReceipts.EXTENSION,
            services
                .statements()
                .receipt(
                    publicUrl + asked.inbound().path(),
                    settlement.network(),
                    payer,
                    settlement.transaction(),
                    Instant.ofEpochSecond(created)));
  }

  private void replay(Asked asked, Admission.Replay replay, int version) {
    StoredAnswer stored = replay.answer();
    paidHeaders(asked, version, replay.settlement(), stored.receiptId(), stored.created());
    String type = stored.events() ? asked.inbound().streamType() : "application/json";
    try {
      asked.reply().send(200, type, stored.body());
    } catch (GoneException e) {
      // It can be asked for again.
    }
  }
}
