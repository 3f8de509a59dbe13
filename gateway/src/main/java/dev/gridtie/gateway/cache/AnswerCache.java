package dev.gridtie.gateway.cache;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Whole answers, by account and exact request; and those that are being given, for whoever asks the
 * same meanwhile. Only requests that ask for one answer and no surprise are looked up: temperature
 * zero, or a seed. State: both maps, guarded by its own monitor.
 */
public final class AnswerCache {
  /** How many answers may be given to several at once. */
  private static final int FLIGHTS_MAX = 4096;

  private final CachePolicy policy;
  private final InstantSource clock;
  private final LinkedHashMap<String, Kept> answers = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<String, Flight> flights = new LinkedHashMap<>();
  private long bytes;

  /**
   * An answer that was given whole.
   *
   * @param finish as the accounts name it
   */
  public record Kept(Buffer body, Usage usage, String finish, Leg leg, Instant since) {}

  public AnswerCache(CachePolicy policy, InstantSource clock) {
    this.policy = policy;
    this.clock = clock;
  }

  public CachePolicy policy() {
    return policy;
  }

  /**
   * The name of a request, where its answer may be kept: account, path and canonical body.
   *
   * @param account the key's id; of those who have none nothing is kept, for any two of them would
   *     be one, unless answers are shared anyway
   */
  public Optional<String> name(
      String account, String path, JsonNode body, Optional<ChatRequest> request) {
    boolean nobody = account.isEmpty() && !policy.shared();
    if (!policy.isOn() || nobody || request.isEmpty() || !isDeterministic(request.get())) {
      return Optional.empty();
    }
    String owner = policy.shared() ? "" : account;
    String text = owner + "\n" + path + "\n" + Json.write(canonical(body));
    return Optional.of(HexFormat.of().formatHex(Hashes.sha256(text.getBytes(UTF_8))));
  }

  private static boolean isDeterministic(ChatRequest request) {
    Double temperature = request.sampling().temperature();
    return (temperature != null && temperature == 0) || request.sampling().seed() != null;
  }

  /** The same JSON whatever the order of its keys. */
  private static JsonNode canonical(JsonNode node) {
    if (node.isObject()) {
      TreeMap<String, JsonNode> sorted = new TreeMap<>();
      node.properties().forEach(p -> sorted.put(p.getKey(), canonical(p.getValue())));
      ObjectNode out = Json.object();
      sorted.forEach(out::set);
      return out;
    }
    if (node.isArray()) {
      ArrayNode out = Json.array();
      node.forEach(each -> out.add(canonical(each)));
      return out;
    }
    return node;
  }

  /** The answer, where it is kept and not too old. */
  public synchronized Optional<Kept> find(String name) {
    Kept kept = answers.get(name);
    if (kept != null && kept.since().plus(policy.kept()).isBefore(clock.instant())) {
      drop(name, kept);
      return Optional.empty();
    }
    return Optional.ofNullable(kept);
  }

  private void drop(String name, Kept kept) {
    if (answers.remove(name) != null) {
      bytes -= kept.body().length();
    }
  }

  synchronized void keep(String name, Buffer body, Usage usage, String finish, Leg leg) {
    if (body.length() > policy.bytesMax() / 8) {
      return; // one answer must not push out all others
    }
    Kept before = answers.put(name, new Kept(body, usage, finish, leg, clock.instant()));
    bytes += body.length() - (before == null ? 0 : before.body().length());
    while (bytes > policy.bytesMax() && !answers.isEmpty()) {
      Map.Entry<String, Kept> eldest = answers.entrySet().iterator().next();
      drop(eldest.getKey(), eldest.getValue());
    }
  }

  /** The answer being given to somebody who asked the same, joined; or a new one to give. */
  public synchronized Joined join(String name) {
    Flight running = flights.get(name);
    if (running != null && running.join()) {
      return new Joined(running, false);
    }
    Flight mine = new Flight(this, name);
    if (flights.size() < FLIGHTS_MAX) {
      flights.put(name, mine);
    }
    return new Joined(mine, true);
  }

  /**
   * An answer being given.
   *
   * @param first whether whoever joined has to see that it is given
   */
  public record Joined(Flight flight, boolean first) {}

  synchronized void landed(String name, Flight flight) {
    flights.remove(name, flight);
  }
}
