package dev.gridtie.gateway.route;

import dev.gridtie.gateway.catalog.Endpoint;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Remembers which endpoint served a conversation, so that the next turn finds its prompt cached.
 * State: a bounded map, guarded by its own monitor.
 */
public final class Affinity {
  /** How many conversations are remembered. */
  static final int KEPT_MAX = 20_000;

  /** How long a conversation may rest. */
  static final Duration IDLE_MAX = Duration.ofMinutes(10);

  private final InstantSource clock;

  private final Map<String, Place> places =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Place> eldest) {
          return size() > KEPT_MAX;
        }
      };

  private record Place(String endpoint, Instant since) {}

  public Affinity(InstantSource clock) {
    this.clock = clock;
  }

  /** Where the conversation was last. */
  public synchronized Optional<String> find(String conversation) {
    Place place = places.get(conversation);
    if (place == null || place.since().plus(IDLE_MAX).isBefore(clock.instant())) {
      return Optional.empty();
    }
    return Optional.of(place.endpoint());
  }

  /** The conversation was served there; kept only where a cache makes it cheaper to return. */
  public synchronized void served(String conversation, Endpoint endpoint) {
    if (endpoint.isLocal()
        || endpoint.prices().cacheRead().compareTo(endpoint.prices().prompt()) < 0) {
      places.put(conversation, new Place(endpoint.id(), clock.instant()));
    }
  }
}
