package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.edge.Reply.GoneException;
import dev.gridtie.gateway.relay.Answer;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.openai.ChatAnswer;
import dev.gridtie.wire.openai.ErrorEnvelope;

/** Hands an answer on to one client as it comes, in OpenAI's form: whole, or as a stream. */
final class ChatDelivery {
  private final Reply reply;
  private final ChatAnswer chat;
  private final Account account;

  /** Keeps the account of what this client has been given. */
  interface Account {
    /** Puts the headers that go with the answer. */
    void headers(Reply reply);

    /** The client has all tokens up to this one. */
    void delivered(int completionTokens);

    /**
     * The client has, or is about to get, all there will be of the answer: settle up before its
     * last bytes.
     */
    void finish(boolean whole);

    /** What to say where the answer broke before its first byte. */
    ApiError brokenEarly(ApiError error);
  }

  ChatDelivery(Reply reply, ChatAnswer chat, Account account) {
    this.reply = reply;
    this.chat = chat;
    this.account = account;
  }

  /** Waits for the end and sends the answer as one JSON document. */
  void whole(Answer answer) throws GoneException, InterruptedException {
    switch (answer.awaitEnd()) {
      case Answer.End.Broken broken -> brokenEarly(broken);
      case Answer.End.Whole whole -> {
        if (reply.isGone()) {
          throw new GoneException();
        }
        account.finish(true);
        account.headers(reply);
        String text = answer.text(Integer.MAX_VALUE);
        reply.send(200, "application/json", chat.whole(text, finishReason(whole), usage(whole)));
      }
    }
  }

  /** Sends the answer's pieces as server-sent events, each as soon as it is there. */
  void stream(Answer answer, boolean includeUsage) throws GoneException, InterruptedException {
    int sent = 0;
    while (true) {
      switch (answer.await(sent)) {
        case Answer.Next.Text text -> {
          StringBuilder events = new StringBuilder(sent == 0 ? begin() : "");
          text.pieces().forEach(p -> events.append(chat.piece(p.text())));
          reply.write(events.toString());
          sent += text.pieces().size();
          account.delivered(text.pieces().getLast().completionTokens());
        }
        case Answer.Next.Ended ended -> {
          end(ended.end(), sent, includeUsage);
          return;
        }
      }
    }
  }

  private String begin() {
    account.headers(reply);
    reply.beginEvents();
    return chat.opening();
  }

  private void end(Answer.End end, int sent, boolean includeUsage) throws GoneException {
    switch (end) {
      case Answer.End.Broken broken when sent == 0 -> brokenEarly(broken);
      case Answer.End.Broken broken -> {
        account.finish(false);
        // The status is out: a typed event says it, and there is no [DONE], so that nobody takes
        // this for whole.
        reply.end(ChatAnswer.event(ErrorEnvelope.of(broken.error())));
      }
      case Answer.End.Whole whole -> {
        account.finish(true);
        String opening = sent == 0 ? begin() : "";
        String usage = includeUsage ? chat.usage(usage(whole)) : "";
        reply.end(opening + chat.closing(finishReason(whole)) + usage + ChatAnswer.DONE);
      }
    }
  }

  private void brokenEarly(Answer.End.Broken broken) {
    account.finish(false);
    account.headers(reply);
    reply.error(account.brokenEarly(broken.error()));
  }

  private static ChatAnswer.Usage usage(Answer.End.Whole whole) {
    return new ChatAnswer.Usage(whole.promptTokens(), whole.completionTokens());
  }

  private static String finishReason(Answer.End.Whole whole) {
    return whole.reason() == EndReason.LENGTH ? "length" : "stop";
  }
}
