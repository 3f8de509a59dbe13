package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.edge.Reply.GoneException;
import dev.gridtie.gateway.gate.Order;
import dev.gridtie.gateway.gate.Ticket;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.SettleResponse;
import io.vertx.core.buffer.Buffer;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Hands a paid answer on to one of those who wait at its ticket: whole, or as it comes. The ticket
 * keeps account.
 */
final class PaidDelivery {
  private final PaidHandler handler;
  private final Asked asked;
  private final Reply reply;
  private final Order order;
  private final Ticket.Gate.Open open;
  private final Ticket ticket;
  private final int version;

  PaidDelivery(
      PaidHandler handler,
      Asked asked,
      Order order,
      Ticket.Gate.Open open,
      Ticket ticket,
      int version) {
    this.handler = handler;
    this.asked = asked;
    this.reply = asked.reply();
    this.order = order;
    this.open = open;
    this.ticket = ticket;
    this.version = version;
  }

  void give() throws GoneException, InterruptedException {
    if (order.job().stream()) {
      stream(open.answer());
    } else {
      whole(open.answer());
    }
  }

  /**
   * @param settlement null where it is not known yet
   */
  private void headers(@Nullable SettleResponse settlement) {
    handler.paidHeaders(asked, version, settlement, open.receiptId(), open.created());
    reply.began(open.answer().beginning());
  }

  /** Waits for the end and sends the answer as one document. */
  private void whole(Answer answer) throws GoneException, InterruptedException {
    switch (answer.awaitEnd()) {
      case Answer.End.Broken broken -> brokenEarly(broken.failure());
      case Answer.End.Whole whole -> {
        if (reply.isGone()) {
          throw new GoneException();
        }
        finish(true);
        Optional<Ticket.Bill> bill = ticket.bill();
        if (bill.isPresent() && bill.get().error() != null) {
          headers(bill.get().settlement());
          reply.error(bill.get().error()); // unpaid, so not given
          return;
        }
        headers(bill.map(Ticket.Bill::settlement).orElse(open.settlement()));
        reply.send(200, "application/json", answer.bytes().getBytes());
      }
    }
  }

  /** Sends the answer's pieces, each as soon as it is there. */
  private void stream(Answer answer) throws GoneException, InterruptedException {
    int sent = 0;
    while (true) {
      switch (answer.await(sent)) {
        case Answer.Next.Text text -> {
          if (sent == 0) {
            begin();
          }
          Buffer bytes = Buffer.buffer();
          text.pieces().forEach(p -> bytes.appendBuffer(p.bytes()));
          reply.write(bytes);
          sent += text.pieces().size();
          ticket.delivered(text.pieces().getLast().tokens());
        }
        case Answer.Next.Ended ended -> {
          end(ended.end(), sent);
          return;
        }
      }
    }
  }

  private void begin() {
    headers(open.settlement());
    reply.beginStream(asked.inbound().streamType());
  }

  private void end(Answer.End end, int sent) throws GoneException {
    switch (end) {
      case Answer.End.Broken broken when sent == 0 -> brokenEarly(broken.failure());
      case Answer.End.Broken broken -> {
        // The status is out: a typed event says it, so that nobody takes this for whole.
        String event = errorEvent(broken.failure().error());
        if (open.settlement() == null) {
          reply.write(Buffer.buffer(event));
          finish(false);
          reply.end(Buffer.buffer(billComment()));
        } else {
          finish(false);
          reply.end(Buffer.buffer(event));
        }
      }
      case Answer.End.Whole whole when open.settlement() == null -> {
        // The answer first, then the bill: a client that waits for no more than the answer has it.
        if (sent == 0) {
          begin();
        }
        reply.write(whole.ending().tail());
        finish(true);
        reply.end(Buffer.buffer(billComment()));
      }
      case Answer.End.Whole whole -> {
        finish(true);
        if (sent == 0) {
          begin();
        }
        reply.end(whole.ending().tail());
      }
    }
  }

  /** How a stream was paid, as a comment that clients of server-sent events pass over. */
  private String billComment() {
    return ticket
        .bill()
        .filter(b -> asked.inbound().streamType().startsWith("text/event-stream"))
        .map(
            b ->
                ": "
                    + Headers.PAYMENT_RESPONSE
                    + " "
                    + handler.receipted(asked, version, b.settlement(), open.created()).toHeader()
                    + "\n\n")
        .orElse("");
  }

  private String errorEvent(ApiError error) {
    var request = order.job().request().orElseThrow();
    return asked
        .inbound()
        .translator()
        .streamWriter(new Head("", request.model(), 0, request))
        .write(new StreamEvent.Failed(error));
  }

  /** Settles up, before the last bytes go. */
  private void finish(boolean whole) {
    if (whole) {
      ticket.deliveredWhole();
    }
    boolean unused = ticket.finish();
  }

  private void brokenEarly(Failure failure) {
    finish(false);
    headers(open.settlement());
    ApiError error = failure.error();
    if (open.settlement() == null) {
      String free = " Nothing was charged: the same payment can be sent again.";
      reply.error(new ApiError(error.kind(), error.code(), error.message() + free, null));
      return;
    }
    String consolation =
        " The payment stands and nothing was charged against it: send the same request with the same payment again to"
            + " get the answer.";
    reply.error(new ApiError(error.kind(), error.code(), error.message() + consolation, null));
  }
}
