package dev.gridtie.x402.facilitator;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What is on offer, as far as those who sell it have said so (extension bazaar). A settled payment
 * is the occasion to ask its resource's origin; what the origin's own 402 says is listed, where it
 * asks to be paid as the payment was, and nothing that the payer has written. State: the listings
 * and when each URL was asked, guarded by this object.
 */
public final class Bazaar {
  /** How many resources are known; the one that was paid longest ago goes first. */
  private static final int RESOURCES_MAX = 10_000;

  private static final int PAGE_MAX = 100;

  /** How many origins are asked at once; what comes meanwhile may come with its next payment. */
  private static final int ASKED_AT_ONCE_MAX = 8;

  /** An origin is asked about a URL again after so long. */
  private static final Duration ASKED_AGAIN_AFTER = Duration.ofMinutes(10);

  /** The longest description that is listed, in characters. */
  private static final int DESCRIPTION_MAX = 1_000;

  private final Optional<OriginProof> proof;
  private final InstantSource clock;
  private final Semaphore asking = new Semaphore(ASKED_AT_ONCE_MAX);
  private final LinkedHashMap<String, ObjectNode> byUrl = new LinkedHashMap<>();
  private final LinkedHashMap<String, Instant> askedAt =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Instant> eldest) {
          return size() > RESOURCES_MAX;
        }
      };

  /**
   * @param proof asks origins; empty where this program may not call out, and so lists nothing
   */
  public Bazaar(Optional<OriginProof> proof, InstantSource clock) {
    this.proof = proof;
    this.clock = clock;
  }

  /** Whether anything is ever listed. */
  public boolean isOpen() {
    return proof.isPresent();
  }

  /** Has the resource of a settled payment looked at, where its payment asks for that. */
  void settled(PaymentPayload payment) {
    String text = Json.text(payment.raw().path("resource"), "url");
    Optional<URI> url =
        text == null || !payment.raw().path("extensions").path("bazaar").isObject()
            ? Optional.empty()
            : proof.flatMap(p -> p.url(text));
    Optional<PaymentRequirements> paid = payment.accepted();
    if (url.isEmpty() || paid.isEmpty() || !isDue(url.get()) || !asking.tryAcquire()) {
      return;
    }
    Thread.ofVirtual()
        .name("bazaar")
        .start(
            () -> {
              try {
                proof.orElseThrow().ask(url.get()).ifPresent(r -> list(url.get(), r, paid.get()));
              } catch (RuntimeException e) {
                System.err.println("x402 facilitator: bazaar: " + e);
              } finally {
                asking.release();
              }
            });
  }

  private synchronized boolean isDue(URI url) {
    Instant now = clock.instant();
    Instant before = askedAt.get(url.toString());
    if (before != null && Duration.between(before, now).compareTo(ASKED_AGAIN_AFTER) < 0) {
      return false;
    }
    askedAt.remove(url.toString());
    askedAt.put(url.toString(), now);
    return true;
  }

  /** Lists what an origin has said of a URL, where it sells it for what was paid to whom. */
  synchronized void list(URI url, JsonNode required, PaymentRequirements paid) {
    JsonNode wanted = required.path("extensions").path("bazaar");
    boolean same = required.path("accepts").valueStream().anyMatch(a -> isPaidBy(a, paid));
    if (!same || !wanted.isObject()) {
      return;
    }
    ObjectNode item = Json.object();
    item.put("resource", url.toString());
    item.put("type", "http");
    item.put("x402Version", 2);
    item.set("accepts", required.path("accepts"));
    item.put("lastUpdated", clock.instant().toString());
    ObjectNode metadata = item.putObject("metadata");
    String description = Json.text(required.path("resource"), "description");
    if (description != null && description.length() <= DESCRIPTION_MAX) {
      metadata.put("description", description);
    }
    metadata.set("bazaar", wanted.path("info"));
    byUrl.remove(url.toString());
    byUrl.put(url.toString(), item);
    if (byUrl.size() > RESOURCES_MAX) {
      var oldest = byUrl.keySet().iterator();
      oldest.next();
      oldest.remove();
    }
  }

  private static boolean isPaidBy(JsonNode offered, PaymentRequirements paid) {
    String payTo = Json.text(offered, "payTo");
    String asset = Json.text(offered, "asset");
    boolean evm = paid.network().startsWith("eip155:");
    return paid.network().equals(Json.text(offered, "network"))
        && payTo != null
        && asset != null
        && (evm ? payTo.equalsIgnoreCase(paid.payTo()) : payTo.equals(paid.payTo()))
        && (evm ? asset.equalsIgnoreCase(paid.asset()) : asset.equals(paid.asset()));
  }

  /** A page (x402 v2, discovery): the latest first. */
  synchronized ObjectNode page(String type, int limit, int offset) {
    if (limit < 1 || limit > PAGE_MAX || offset < 0) {
      throw new IllegalArgumentException("page");
    }
    List<ObjectNode> all =
        byUrl.sequencedValues().reversed().stream()
            .filter(i -> type.isEmpty() || type.equals(Json.text(i, "type")))
            .toList();
    ObjectNode json = Json.object();
    json.put("x402Version", 2);
    ArrayNode items = json.putArray("items");
    all.stream().skip(offset).limit(limit).forEach(items::add);
    json.putObject("pagination").put("limit", limit).put("offset", offset).put("total", all.size());
    return json;
  }
}
