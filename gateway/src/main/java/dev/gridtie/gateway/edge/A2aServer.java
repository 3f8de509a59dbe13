package dev.gridtie.gateway.edge;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.edge.InnerChat.Asker;
import dev.gridtie.gateway.edge.InnerChat.Said;
import dev.gridtie.gateway.edge.JsonRpcCall.MalformedCallException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code POST /a2a}: the gateway as an agent of the Agent2Agent protocol, by JSON-RPC. A message
 * asks a model; the task waits for its payment by the x402 extension, and is completed by the
 * message that brings it. State: the last tasks, guarded by its own monitor.
 */
final class A2aServer {
  static final String PATH = "/a2a";
  static final String CARD = "/.well-known/agent-card.json";

  /** Names of the payment extension: the newer and the older. */
  private static final List<String> EXTENSIONS =
      List.of(
          "https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2",
          "https://github.com/google-a2a/a2a-x402/v0.1");

  /** How many tasks are remembered; the oldest is forgotten, and nothing is charged for it. */
  private static final int TASKS_MAX = 4096;

  private static final String STATUS = "x402.payment.status";
  private static final String REQUIRED = "x402.payment.required";
  private static final String PAYLOAD = "x402.payment.payload";
  private static final String RECEIPTS = "x402.payment.receipts";
  private static final String ERROR = "x402.payment.error";

  /** There is no such task (A2A §8.2). */
  private static final int TASK_NOT_FOUND = -32001;

  /** The task is over and cannot be cancelled (A2A §8.2). */
  private static final int TASK_NOT_CANCELABLE = -32002;

  private final InnerChat chat;
  private final Catalog catalog;
  private final RandomGenerator random;
  private final InstantSource clock;
  private final String publicUrl;
  private final Map<String, Task> tasks =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Task> eldest) {
          return size() > TASKS_MAX;
        }
      };

  /**
   * A task.
   *
   * @param request what it asks of a model
   * @param shown as clients see it
   */
  private record Task(String id, String contextId, ObjectNode request, ObjectNode shown) {
    boolean isOver() {
      String state = shown.path("status").path("state").asString("");
      return !state.equals("input-required");
    }
  }

  A2aServer(Services services, InnerChat chat, String publicUrl) {
    this.chat = chat;
    this.catalog = services.catalog();
    this.random = services.random();
    this.clock = services.clock();
    this.publicUrl = publicUrl;
  }

  /** Who this agent is, and how it is paid. */
  ObjectNode card() {
    ObjectNode card = Json.object();
    card.put("protocolVersion", "0.3.0");
    card.put("name", "Gridtie");
    card.put("description", "Asks language models; each answer is paid by itself, in stablecoin.");
    card.put("url", publicUrl + PATH);
    card.put("preferredTransport", "JSONRPC");
    card.put("version", "0.1.0");
    ObjectNode capabilities = card.putObject("capabilities");
    capabilities.put("streaming", false).put("pushNotifications", false);
    var extensions = capabilities.putArray("extensions");
    EXTENSIONS.forEach(
        uri ->
            extensions
                .addObject()
                .put("uri", uri)
                .put("description", "Payments by x402")
                .put("required", true));
    card.putArray("defaultInputModes").add("text/plain");
    card.putArray("defaultOutputModes").add("text/plain");
    ObjectNode skill = card.putArray("skills").addObject();
    skill.put("id", "chat").put("name", "Ask a model");
    skill.put(
        "description",
        "Answers a question by a language model. The message's metadata may name it: model, max_tokens, temperature, seed.");
    skill.putArray("tags").add("language model");
    return card;
  }

  /** Answers one call, on a thread that may block. */
  void handle(MultiMap headers, byte[] body, Context context, Reply reply) {
    String wanted = headers.get("X-A2A-Extensions");
    if (wanted != null) {
      EXTENSIONS.stream()
          .filter(wanted::contains)
          .findFirst()
          .ifPresent(uri -> reply.header("X-A2A-Extensions", uri));
    }
    reply.header("Cache-Control", "private, no-store");
    try {
      JsonRpcCall call = JsonRpcCall.read(body);
      Asker asker = new Asker(PATH, headers, context, reply, Optional.empty());
      reply.sendQuietly(200, answer(call, asker));
    } catch (MalformedCallException e) {
      reply.sendQuietly(200, e.toJson());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private ObjectNode answer(JsonRpcCall call, Asker asker) throws InterruptedException {
    return switch (call.method()) {
      case "message/send" ->
          call.params().path("message") instanceof ObjectNode message
              ? send(call, message, asker)
              : call.failed(JsonRpcCall.INVALID_PARAMS, "params.message must be a message");
      case "tasks/get" -> {
        Optional<Task> task = find(call.params().path("id"));
        yield task.isPresent() ? call.result(task.get().shown()) : noTask(call);
      }
      case "tasks/cancel" -> cancel(call);
      default -> call.failed(JsonRpcCall.METHOD_NOT_FOUND, "there is no method " + call.method());
    };
  }

  private static ObjectNode noTask(JsonRpcCall call) {
    return call.failed(
        TASK_NOT_FOUND, "there is no such task, or it is forgotten; nothing was charged");
  }

  private synchronized Optional<Task> find(JsonNode id) {
    return Optional.ofNullable(tasks.get(id.asString("")));
  }

  private synchronized ObjectNode keep(Task task) {
    tasks.put(task.id(), task);
    return task.shown();
  }

  private ObjectNode cancel(JsonRpcCall call) {
    Optional<Task> task = find(call.params().path("id"));
    if (task.isEmpty()) {
      return noTask(call);
    }
    return task.get().isOver()
        ? call.failed(TASK_NOT_CANCELABLE, "the task is over")
        : call.result(
            keep(at(task.get(), "canceled", "Canceled; nothing was charged.", Json.object())));
  }

  private ObjectNode send(JsonRpcCall call, ObjectNode message, Asker asker)
      throws InterruptedException {
    JsonNode metadata = message.path("metadata");
    String status = Json.text(metadata, STATUS);
    if (status == null) {
      // What is there of a payment and cannot be read is never taken for no payment.
      return metadata.hasNonNull(STATUS) || metadata.hasNonNull(PAYLOAD)
          ? call.failed(
              JsonRpcCall.INVALID_PARAMS,
              STATUS + " must be payment-submitted or payment-rejected; nothing was charged")
          : begin(call, message, metadata, asker);
    }
    Optional<Task> task = find(message.path("taskId"));
    if (task.isEmpty()) {
      return noTask(call);
    }
    if (task.get().isOver()) {
      return call.result(task.get().shown()); // paid before, or ended: the same again
    }
    return switch (status) {
      case "payment-rejected" ->
          call.result(
              keep(
                  at(
                      task.get(),
                      "canceled",
                      "Not paid, and so not answered.",
                      Json.object().put(STATUS, "payment-rejected"))));
      case "payment-submitted" -> {
        JsonNode payload = metadata.path(PAYLOAD);
        try {
          JsonNode read = PaymentPayload.fromJson(payload).raw();
          yield call.result(
              keep(ended(task.get(), chat.ask(asker.paying(read), task.get().request()))));
        } catch (MalformedPaymentException e) { // the task waits on for one that can be read
          yield call.failed(
              JsonRpcCall.INVALID_PARAMS,
              PAYLOAD + ": " + e.getMessage() + ". Nothing was charged.");
        }
      }
      default ->
          call.failed(
              JsonRpcCall.INVALID_PARAMS,
              STATUS + " must be payment-submitted or payment-rejected");
    };
  }

  private ObjectNode begin(JsonRpcCall call, ObjectNode message, JsonNode metadata, Asker asker)
      throws InterruptedException {
    StringBuilder text = new StringBuilder();
    for (JsonNode part : message.path("parts")) {
      text.append(part.path("text").asString(""));
    }
    String model = Json.text(metadata, "model");
    if (text.isEmpty() || (model == null && catalog.all().isEmpty())) {
      return call.failed(JsonRpcCall.INVALID_PARAMS, "message.parts must hold a text");
    }
    ObjectNode request = Json.object();
    request.put("model", model == null ? catalog.all().iterator().next().id() : model);
    for (String key : List.of("max_tokens", "temperature", "seed")) {
      if (metadata.has(key)) {
        request.set(key, metadata.path(key));
      }
    }
    request.putArray("messages").addObject().put("role", "user").put("content", text.toString());
    String context = Json.text(message, "contextId");
    Task task =
        new Task(
            Ids.random("task-", random),
            context == null ? Ids.random("context-", random) : context,
            request,
            Json.object());
    return call.result(keep(ended(task, chat.ask(asker, request))));
  }

  /** The task after a model was asked: answered, or waiting for its payment. */
  private Task ended(Task task, Said said) {
    ObjectNode metadata = Json.object();
    said.settled().ifPresent(s -> metadata.putArray(RECEIPTS).add(s));
    if (said.isWhole()) {
      if (said.settled().isPresent()) {
        metadata.put(STATUS, "payment-completed");
      }
      Task done = at(task, "completed", "", metadata);
      ObjectNode artifact = done.shown().putArray("artifacts").addObject();
      artifact.put("artifactId", said.receipt().isEmpty() ? done.id() : said.receipt());
      artifact.putArray("parts").addObject().put("kind", "text").put("text", said.words());
      return done;
    }
    if (said.required().isPresent()) {
      boolean first = said.code().equals("payment_required");
      metadata.put(STATUS, first ? "payment-required" : "payment-failed");
      metadata.set(REQUIRED, said.required().get());
      if (!first) {
        metadata.put(ERROR, said.code());
      }
      return at(task, "input-required", said.problem(), metadata);
    }
    metadata.put(ERROR, said.code());
    // What lies with us may be asked again with the same payment.
    return at(task, said.status() == 503 ? "input-required" : "failed", said.problem(), metadata);
  }

  private Task at(Task task, String state, String text, ObjectNode metadata) {
    ObjectNode shown = Json.object().put("kind", "task").put("id", task.id());
    shown.put("contextId", task.contextId());
    ObjectNode status = shown.putObject("status").put("state", state);
    status.put("timestamp", clock.instant().toString());
    ObjectNode message = status.putObject("message").put("kind", "message").put("role", "agent");
    message.put("messageId", Ids.random("message-", random));
    message.put("taskId", task.id()).put("contextId", task.contextId());
    message.putArray("parts").addObject().put("kind", "text").put("text", text);
    message.set("metadata", metadata);
    return new Task(task.id(), task.contextId(), task.request(), shown);
  }
}
