package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.account.UsageRow;
import dev.gridtie.gateway.answer.Embeddings;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.gateway.route.Need;
import dev.gridtie.gateway.route.Preferences;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.MultiMap;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What texts are like: OpenAI's {@code /v1/embeddings}, Gemini's {@code :embedContent}. */
final class EmbeddingsHandler {
  private static final int TEXTS_MAX = 2048;

  private final Services services;
  private final Planner planner;

  EmbeddingsHandler(Services services, Planner planner) {
    this.services = services;
    this.planner = planner;
  }

  /** In which form the texts come and the vectors go. */
  enum Form {
    OPENAI,
    GEMINI_ONE,
    GEMINI_MANY
  }

  private record Wanted(
      String model, Embeddings.Request request, boolean base64, @Nullable JsonNode provider) {}

  /** Serves one request, on a thread that may block. */
  void handle(
      Form form, String model, MultiMap headers, @Nullable String query, byte[] body, Reply reply) {
    Optional<Account> account = Optional.empty();
    Optional<String> key = Credentials.key(headers, query);
    if (key.isPresent()) {
      account = services.keys().open(key.get());
      if (account.isEmpty()) {
        reply.error(ChatHandler.unknownKey());
        return;
      }
    }
    switch (read(form, model, body)) {
      case Outcome.Refused<Wanted> refused -> reply.error(refused.error());
      case Outcome.Ok<Wanted> ok -> {
        try {
          serve(form, ok.value(), account, reply);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }
    }
  }

  private static Outcome<Wanted> read(Form form, String model, byte[] body) {
    try {
      JsonNode json = Json.parse(body);
      return Fields.outcome(
          () -> form == Form.OPENAI ? openAi(Fields.root(json)) : gemini(form, model, json));
    } catch (Json.MalformedJsonException e) {
      return Outcome.refused(
          ApiError.invalid(
              "invalid_json", "The body could not be read: " + e.getMessage() + ".", null));
    }
  }

  private static Wanted openAi(Fields in) throws RefusedException {
    String model = in.requiredText("model");
    List<String> texts = in.texts("input", TEXTS_MAX);
    if (texts.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter", "'input' must be a text or a list of texts.", "input");
    }
    Integer dimensions = in.whole("dimensions", 1);
    String encoding = in.text("encoding_format");
    if (encoding != null && !Set.of("float", "base64").contains(encoding)) {
      throw in.wrongValue("encoding_format", "must be float or base64.");
    }
    JsonNode provider = in.rawOrNull("provider");
    in.refuseRest(Set.of("user"), key -> "has no place in a request for embeddings.");
    return new Wanted(
        model,
        new Embeddings.Request(texts, dimensions == null ? 0 : dimensions),
        "base64".equals(encoding),
        provider);
  }

  private static Wanted gemini(Form form, String model, JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    List<Fields> requests =
        form == Form.GEMINI_ONE ? List.of(in) : in.objects("requests", TEXTS_MAX);
    List<String> texts = new ArrayList<>();
    int dimensions = 0;
    for (Fields request : requests) {
      Fields content = request.object("content");
      StringBuilder text = new StringBuilder();
      if (content != null) {
        for (Fields part : content.objects("parts", TEXTS_MAX)) {
          text.append(part.raw("text").asString(""));
        }
      }
      if (text.isEmpty()) {
        throw new RefusedException(
            "missing_required_parameter", "'content' must hold a text.", "content");
      }
      texts.add(text.toString());
      Integer size = request.whole("outputDimensionality", 1);
      dimensions = size == null ? dimensions : size;
    }
    return new Wanted(model, new Embeddings.Request(texts, dimensions), false, null);
  }

  private void serve(Form form, Wanted wanted, Optional<Account> account, Reply reply)
      throws InterruptedException {
    long bound =
        wanted.request().texts().stream().mapToLong(t -> t.getBytes(UTF_8).length + 2).sum();
    Need need = new Need(Set.of(Feature.EMBEDDINGS), 0, 0, Optional.empty());
    Outcome<List<Leg>> found =
        Preferences.read(wanted.provider())
            .then(
                preferences ->
                    planner
                        .model(wanted.model())
                        .then(
                            model ->
                                services
                                    .router()
                                    .rank(model, need, preferences, Optional.empty())
                                    .then(
                                        endpoints ->
                                            Outcome.ok(
                                                endpoints.stream()
                                                    .map(e -> new Leg(model, e))
                                                    .toList()))));
    switch (found) {
      case Outcome.Refused<List<Leg>> refused -> reply.error(refused.error());
      case Outcome.Ok<List<Leg>> ok -> {
        Plan plan = new Plan(ok.value(), false, leg -> Optional.empty());
        if (account.isEmpty() && !plan.isFree()) {
          reply.error(
              ApiError.of(
                  ApiError.Kind.PAYMENT_REQUIRED,
                  "key_required",
                  "Embeddings are paid by an account's key: send one as 'Authorization: Bearer gt-…'."));
          return;
        }
        held(form, wanted, plan, bound, account, reply);
      }
    }
  }

  private void held(
      Form form, Wanted wanted, Plan plan, long bound, Optional<Account> account, Reply reply)
      throws InterruptedException {
    Optional<Account.Hold> hold = Optional.empty();
    if (account.isPresent()) {
      Outcome<Account.Hold> held =
          account
              .get()
              .hold(plan.bound(bound, 0), plan.first().model().id(), plan.providers(), bound / 4);
      if (held instanceof Outcome.Refused<Account.Hold> refused) {
        reply.error(refused.error());
        return;
      }
      hold = Optional.of(((Outcome.Ok<Account.Hold>) held).value());
    }
    long began = System.nanoTime();
    Failure last = null;
    for (Leg leg : plan.legs()) {
      for (Channel channel : leg.endpoint().channels()) {
        if (!channel.breaker().tryPass()) {
          continue;
        }
        switch (channel.source().embed(wanted.request())) {
          case Embeddings.Result.Given given -> {
            channel.breaker().succeeded();
            charge(given.embeddings(), leg, hold, account, began);
            reply.sendQuietly(200, write(form, wanted, given.embeddings()));
            return;
          }
          case Embeddings.Result.Failed failed -> {
            last = failed.failure();
            blame(channel, last);
          }
        }
      }
    }
    hold.ifPresent(Account.Hold::release);
    reply.error(
        last == null
            ? ApiError.of(
                ApiError.Kind.UNAVAILABLE, "endpoints_unavailable", "Nobody can answer now.")
            : last.error());
  }

  private static void blame(Channel channel, Failure failure) {
    switch (failure.kind()) {
      case REQUEST, UNFIT, OURS -> channel.breaker().undecided();
      case KEY -> channel.breaker().keyRefused();
      case RATE -> channel.breaker().holdOff(failure.retryAfter().orElse(Duration.ofSeconds(5)));
      case TRANSIENT -> channel.breaker().failed();
    }
  }

  private void charge(
      Embeddings given,
      Leg leg,
      Optional<Account.Hold> hold,
      Optional<Account> account,
      long began) {
    Usage usage = new Usage(given.tokens(), 0, 0, 0, 0);
    PicoUsd due = leg.endpoint().prices().cost(usage);
    PicoUsd cost = hold.map(h -> due.min(h.amount())).orElse(due);
    hold.ifPresent(h -> h.charge(cost, leg.endpoint().provider(), given.tokens()));
    long ms = Duration.ofNanos(System.nanoTime() - began).toMillis();
    account.ifPresent(
        a ->
            services
                .usage()
                .add(
                    new UsageRow(
                        Ids.random("gen-", services.random()),
                        a.key().id(),
                        services.clock().instant(),
                        leg.model().id(),
                        leg.endpoint().provider(),
                        "embeddings",
                        false,
                        usage,
                        cost,
                        "stop",
                        ms,
                        ms,
                        "ok")));
  }

  private static ObjectNode write(Form form, Wanted wanted, Embeddings given) {
    ObjectNode json = Json.object();
    if (form == Form.GEMINI_ONE) {
      json.putObject("embedding").set("values", numbers(given.vectors().getFirst()));
      return json;
    }
    if (form == Form.GEMINI_MANY) {
      ArrayNode list = json.putArray("embeddings");
      given.vectors().forEach(v -> list.addObject().set("values", numbers(v)));
      return json;
    }
    json.put("object", "list");
    ArrayNode data = json.putArray("data");
    for (float[] vector : given.vectors()) {
      ObjectNode one = data.addObject().put("object", "embedding").put("index", data.size() - 1);
      if (wanted.base64()) {
        one.put("embedding", base64(vector));
      } else {
        one.set("embedding", numbers(vector));
      }
    }
    json.put("model", wanted.model());
    json.putObject("usage")
        .put("prompt_tokens", given.tokens())
        .put("total_tokens", given.tokens());
    return json;
  }

  private static ArrayNode numbers(float[] vector) {
    ArrayNode numbers = Json.array();
    for (float value : vector) {
      numbers.add(value);
    }
    return numbers;
  }

  /** Little-endian 32-bit floats. */
  private static String base64(float[] vector) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * vector.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : vector) {
      bytes.putFloat(value);
    }
    return Base64.getEncoder().encodeToString(bytes.array());
  }
}
