package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.edge.Reply.GoneException;
import dev.gridtie.gateway.gate.ChannelDesk;
import dev.gridtie.wire.ApiError;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import dev.gridtie.x402.wire.SettleResponse;
import io.vertx.core.MultiMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code GET /v1/channel}: where a payer fills its channel, sees how it stands and takes back what
 * is left. It asks for the smallest amount and takes nothing of it.
 */
final class ChannelPage {
  static final String PATH = "/v1/channel";

  private final Services services;
  private final ChannelDesk desk;
  private final String publicUrl;

  ChannelPage(Services services, String publicUrl) {
    this.services = services;
    this.desk = services.desk().channelDesk();
    this.publicUrl = publicUrl;
  }

  void handle(MultiMap headers, Reply reply) {
    List<PaymentRequirements> accepts = services.offers().channelRequirements();
    if (accepts.isEmpty() && services.offers().takesDeposits()) {
      reply.error(PaidHandler.paymentsClosed());
      return;
    }
    if (accepts.isEmpty()) {
      reply.error(
          ApiError.of(
              ApiError.Kind.NOT_FOUND,
              "no_channels",
              "This gateway takes no deposits: pay each request by itself."));
      return;
    }
    try {
      Optional<PaymentPayload> payment = PaidHandler.payment(headers);
      if (payment.isEmpty()) {
        ask(reply, accepts);
      } else {
        take(reply, accepts, payment.get());
      }
    } catch (MalformedPaymentException e) {
      reply.error(PaidHandler.malformed(e));
    }
  }

  private void ask(Reply reply, List<PaymentRequirements> accepts) {
    refuse(
        reply,
        accepts,
        ApiError.of(
            ApiError.Kind.PAYMENT_REQUIRED,
            "payment_required",
            "Deposit into a channel, show how yours stands by a voucher, or ask for a refund: sign one of"
                + " the PAYMENT-REQUIRED header's offers. Nothing of the amount is taken."),
        Json.object());
  }

  private void take(Reply reply, List<PaymentRequirements> accepts, PaymentPayload payment)
      throws MalformedPaymentException {
    switch (PaymentMatch.find(payment, accepts)) {
      case PaymentMatch.Unmatched unmatched ->
          refuse(
              reply,
              accepts,
              ApiError.of(
                  ApiError.Kind.PAYMENT_REQUIRED,
                  unmatched.why().code(),
                  unmatched.why().message()),
              Json.object());
      case PaymentMatch.Matched matched -> {
        switch (desk.take(payment, matched.requirements())) {
          case ChannelDesk.Outcome.Refused refused ->
              refuse(reply, accepts, refused.error(), refused.correction());
          case ChannelDesk.Outcome.Done done -> show(reply, done.settlement());
        }
      }
    }
  }

  private static void show(Reply reply, SettleResponse settlement) {
    reply.header(Headers.PAYMENT_RESPONSE, settlement.toHeader());
    reply.header("Cache-Control", "private, no-store");
    ObjectNode body = Json.object().put("object", "channel");
    body.setAll((ObjectNode) settlement.extra().path("channelState"));
    body.put("transaction", settlement.transaction());
    try {
      reply.send(200, "application/json", Json.writeBytes(body));
    } catch (GoneException e) {
      // It can be asked for again.
    }
  }

  private void refuse(
      Reply reply, List<PaymentRequirements> accepts, ApiError error, ObjectNode correction) {
    if (error.kind() != ApiError.Kind.PAYMENT_REQUIRED) {
      reply.error(error);
      return;
    }
    PaymentRequired required =
        new PaymentRequired(
                error.code(),
                new ResourceInfo(publicUrl + PATH, "Your channel", "application/json"),
                accepts)
            .corrected(BatchTypes.SCHEME, correction);
    reply.error(
        error, reply.errorBody(error), Map.of(Headers.PAYMENT_REQUIRED, required.toHeader()));
  }
}
