package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.edge.Planner.Asker;
import dev.gridtie.gateway.edge.Planner.Planned;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.util.Optional;

/**
 * Conversations and embeddings, in any dialect. Who pays is asked in this order: a payment that
 * came along, an account's key, nobody where nothing is charged; else the price is quoted.
 */
final class ChatHandler {
  private final Services services;
  private final Planner planner;
  private final PaidHandler paid;
  private final KeyedHandler keyed;
  private final CountHandler counts;

  ChatHandler(Services services, String publicUrl) {
    this.services = services;
    SealMemory memory = new SealMemory();
    this.planner = new Planner(services.catalog(), services.router(), services.affinity(), memory);
    this.paid = new PaidHandler(services, memory, publicUrl);
    this.keyed = new KeyedHandler(services, memory);
    this.counts = new CountHandler(planner);
  }

  CountHandler counts() {
    return counts;
  }

  /** The longest body that is looked at on an event loop. */
  private static final int INLINE_BYTES_MAX = 64 * 1024;

  /**
   * Serves a request on the event loop, where nothing about it can block and little is to be done:
   * a key that is known, and bytes that pass untouched. Whether it was such a one.
   */
  boolean handleAtOnce(Asked asked) {
    if (asked.body().length > INLINE_BYTES_MAX
        || services.cache().policy().isOn()
        || asked.headers().contains(Headers.PAYMENT_SIGNATURE)
        || asked.headers().contains(Headers.X_PAYMENT)
        || asked.headers().contains(SignIn.HEADER)) {
      return false;
    }
    Optional<Account> account = asked.key().flatMap(services.keys()::known);
    if (account.isEmpty()
        || account.get().mayBlock()
        || account.get().key().limits().pool().isPresent()) {
      return false;
    }
    Optional<Planned> planned =
        planner.planUntouched(asked.inbound(), asked.body(), asked.dialectHeaders());
    planned.ifPresent(p -> keyed.serve(asked, p, account));
    return planned.isPresent();
  }

  /** Serves one request, on a thread that may block. */
  void handle(Asked asked) {
    guarded(asked, () -> serve(asked));
  }

  /** Quotes one request by x402, whoever asks; an empty document where it is free. */
  void quote(Asked asked) {
    guarded(
        asked,
        () ->
            plan(
                asked,
                Asker.NOBODY,
                planned -> {
                  if (planned.plan().isFree()) {
                    asked.reply().noted();
                    asked.reply().sendQuietly(200, Json.object());
                  } else {
                    paid.serve(asked, planned, Optional.empty());
                  }
                }));
  }

  private interface Serving {
    void run() throws MalformedPaymentException, InterruptedException;
  }

  private static void guarded(Asked asked, Serving serving) {
    try {
      serving.run();
    } catch (MalformedPaymentException e) {
      asked.reply().error(PaidHandler.malformed(e));
    } catch (StoreException e) {
      System.err.println("gridtie: " + e.getMessage());
      asked
          .reply()
          .error(
              ApiError.of(
                  ApiError.Kind.UNAVAILABLE,
                  "ledger_unavailable",
                  "The ledger cannot be read now."));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void serve(Asked asked) throws MalformedPaymentException, InterruptedException {
    Optional<PaymentPayload> payment = PaidHandler.payment(asked.headers());
    if (payment.isPresent()) {
      // Before anything that depends on the present.
      if (!paid.recall(asked, payment.get())) {
        plan(asked, Asker.NOBODY, planned -> paid.serve(asked, planned, payment));
      }
      return;
    }
    Optional<SignIn> signIn = PaidHandler.signIn(asked.headers());
    if (signIn.isPresent()) {
      if (!paid.recall(asked, signIn.get())) {
        plan(asked, Asker.NOBODY, planned -> paid.serveSignedIn(asked, planned, signIn.get()));
      }
      return;
    }
    Optional<String> key = asked.key();
    if (key.isPresent()) {
      Optional<Account> account = services.keys().open(key.get());
      if (account.isEmpty()) {
        asked.reply().error(unknownKey());
      } else {
        Optional<Planned> untouched =
            services.cache().policy().isOn() || account.get().key().limits().pool().isPresent()
                ? Optional.empty()
                : planner.planUntouched(asked.inbound(), asked.body(), asked.dialectHeaders());
        if (untouched.isPresent()) {
          keyed.serve(asked, untouched.get(), account);
        } else {
          plan(asked, Asker.of(account.get().key()), p -> keyed.serve(asked, p, account));
        }
      }
      return;
    }
    plan(
        asked,
        Asker.NOBODY,
        planned -> {
          if (planned.plan().isFree()) {
            keyed.serve(asked, planned, Optional.empty());
          } else {
            paid.serve(asked, planned, Optional.empty());
          }
        });
  }

  static ApiError unknownKey() {
    return ApiError.of(
        ApiError.Kind.AUTHENTICATION,
        "invalid_api_key",
        "This key opens nothing here: it is unknown or was revoked. The operator makes keys with 'gridtie key create'.");
  }

  /** What to do with a request that was read. */
  private interface Step {
    void run(Planned planned) throws MalformedPaymentException, InterruptedException;
  }

  private void plan(Asked asked, Asker asker, Step next)
      throws MalformedPaymentException, InterruptedException {
    switch (planner.plan(asked.inbound(), asked.body(), asked.dialectHeaders(), asker)) {
      case Outcome.Refused<Planned> refused -> asked.reply().error(refused.error());
      case Outcome.Ok<Planned> ok -> next.run(ok.value());
    }
  }
}
