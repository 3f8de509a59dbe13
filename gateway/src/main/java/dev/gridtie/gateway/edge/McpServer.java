package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.edge.InnerChat.Asker;
import dev.gridtie.gateway.edge.InnerChat.Said;
import dev.gridtie.gateway.edge.JsonRpcCall.MalformedCallException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code POST /mcp}: the models as tools of the Model Context Protocol, by streamable HTTP without
 * sessions. A call that costs is paid by x402 in {@code _meta["x402/payment"]}, or by an account's
 * key in {@code Authorization}.
 */
final class McpServer {
  static final String PATH = "/mcp";

  static final String PAYMENT = "x402/payment";
  static final String PAYMENT_RESPONSE = "x402/payment-response";

  /** The versions that are spoken, the newest first. */
  private static final List<String> VERSIONS =
      List.of("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05");

  /** What arguments are handed on to the model. */
  private static final List<String> PASSED_ON =
      List.of("model", "max_tokens", "temperature", "top_p", "seed", "stop", "response_format");

  private final InnerChat chat;
  private final Listings listings;

  McpServer(InnerChat chat, Listings listings) {
    this.chat = chat;
    this.listings = listings;
  }

  /** Answers one message, on a thread that may block. */
  void handle(MultiMap headers, byte[] body, Context context, Reply reply) {
    String version = headers.get("MCP-Protocol-Version");
    if (version != null && !VERSIONS.contains(version)) {
      say(reply, 400, Json.object().put("error", "MCP-Protocol-Version: spoken are " + VERSIONS));
      return;
    }
    try {
      JsonRpcCall call = JsonRpcCall.read(body);
      if (call.isNotification()) {
        reply.sendWhole(202, "application/json", Buffer.buffer());
      } else {
        say(reply, 200, answer(call, headers, context, reply));
      }
    } catch (MalformedCallException e) {
      say(reply, 400, e.toJson());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void say(Reply reply, int status, ObjectNode json) {
    reply.header("Cache-Control", "private, no-store");
    reply.sendQuietly(status, json);
  }

  private ObjectNode answer(JsonRpcCall call, MultiMap headers, Context context, Reply reply)
      throws InterruptedException {
    return switch (call.method()) {
      case "initialize" -> call.result(initialize(call.params()));
      case "ping" -> call.result(Json.object());
      case "tools/list" -> call.result(tools());
      case "tools/call" -> callTool(call, headers, context, reply);
      default -> call.failed(JsonRpcCall.METHOD_NOT_FOUND, "there is no method " + call.method());
    };
  }

  private static ObjectNode initialize(ObjectNode params) {
    String wanted = Json.text(params, "protocolVersion");
    ObjectNode json = Json.object();
    json.put(
        "protocolVersion",
        wanted != null && VERSIONS.contains(wanted) ? wanted : VERSIONS.getFirst());
    json.putObject("capabilities").putObject("tools");
    json.putObject("serverInfo").put("name", "gridtie").put("version", "0.1.0");
    json.put(
        "instructions",
        "Ask language models by the tool chat; each call is paid by itself, in stablecoin by x402 (_meta[\"x402/payment\"])."
            + " The tool quote says what a call may cost, models what there is.");
    return json;
  }

  // The tools

  private static ObjectNode tools() {
    ObjectNode json = Json.object();
    ArrayNode tools = json.putArray("tools");
    ObjectNode chat =
        tool(
            tools,
            "chat",
            "Asks a language model, and gives its answer. Costs what it used at most what quote says.");
    chat.set("inputSchema", chatSchema());
    ObjectNode models =
        tool(tools, "models", "Lists the models and what a token of each costs. Free.");
    models.putObject("inputSchema").put("type", "object").putObject("properties");
    ObjectNode quote =
        tool(
            tools,
            "quote",
            "Says what a call of chat with the same arguments costs at most, and how to pay it. Free.");
    quote.set("inputSchema", chatSchema());
    return json;
  }

  private static ObjectNode tool(ArrayNode tools, String name, String description) {
    ObjectNode tool = tools.addObject().put("name", name).put("description", description);
    tool.putObject("annotations").put("readOnlyHint", !name.equals("chat"));
    return tool;
  }

  private static ObjectNode chatSchema() {
    ObjectNode schema = Json.object().put("type", "object");
    ObjectNode properties = schema.putObject("properties");
    property(properties, "model", "string", "Which model, as the tool models names it.");
    property(properties, "prompt", "string", "What to ask; or use messages.");
    property(properties, "system", "string", "How the model should behave, with prompt.");
    ObjectNode messages =
        property(
            properties,
            "messages",
            "array",
            "A conversation in the form of OpenAI's chat completions.");
    messages.putObject("items").put("type", "object");
    property(
        properties,
        "max_tokens",
        "integer",
        "The longest answer, in tokens; the price's bound follows from it.");
    property(properties, "temperature", "number", "0 gives the likeliest words.");
    property(properties, "top_p", "number", "Of the likeliest words together, this part.");
    property(properties, "seed", "integer", "The same seed gives the same answer.");
    property(properties, "stop", "string", "Where the answer shall end.");
    property(properties, "response_format", "object", "As in OpenAI's chat completions.");
    schema.putArray("required").add("model");
    return schema;
  }

  private static ObjectNode property(
      ObjectNode properties, String name, String type, String description) {
    return properties.putObject(name).put("type", type).put("description", description);
  }

  private ObjectNode callTool(JsonRpcCall call, MultiMap headers, Context context, Reply reply)
      throws InterruptedException {
    String name = Json.text(call.params(), "name");
    JsonNode given = call.params().path("arguments");
    ObjectNode arguments = given instanceof ObjectNode object ? object : Json.object();
    if (name == null) {
      return call.failed(JsonRpcCall.INVALID_PARAMS, "name must say which tool");
    }
    Optional<JsonNode> payment;
    try {
      payment = payment(call.params().path("_meta"));
    } catch (MalformedPaymentException e) {
      return call.failed(
          JsonRpcCall.INVALID_PARAMS,
          "params._meta[\"" + PAYMENT + "\"]: " + e.getMessage() + ". Nothing was charged.");
    }
    return switch (name) {
      case "models" -> {
        ObjectNode models = listings.openAi();
        yield call.result(result(Json.write(models), models, false));
      }
      case "chat", "quote" -> {
        Optional<ObjectNode> request = request(arguments);
        if (request.isEmpty()) {
          yield call.failed(
              JsonRpcCall.INVALID_PARAMS,
              "arguments must hold prompt, a text, or messages, a list");
        }
        boolean quote = name.equals("quote");
        Asker asker =
            new Asker(
                PATH,
                quote ? MultiMap.caseInsensitiveMultiMap() : headers,
                context,
                reply,
                quote ? Optional.empty() : payment);
        Said said = quote ? chat.quote(asker, request.get()) : chat.ask(asker, request.get());
        yield call.result(quote ? quoted(said) : answered(said));
      }
      default ->
          call.failed(
              JsonRpcCall.INVALID_PARAMS,
              "there is no tool " + name + "; chat, models and quote are");
    };
  }

  /** The payment that came along. What is there and is none is never taken for no payment. */
  private static Optional<JsonNode> payment(JsonNode meta) throws MalformedPaymentException {
    if (!meta.isMissingNode() && !meta.isNull() && !meta.isObject()) {
      throw new MalformedPaymentException("_meta must be an object");
    }
    JsonNode payment = meta.path(PAYMENT);
    if (payment.isMissingNode() || payment.isNull()) {
      return Optional.empty();
    }
    return Optional.of(PaymentPayload.fromJson(payment).raw());
  }

  /** The arguments as a request for chat completions; empty where they ask nothing. */
  private static Optional<ObjectNode> request(ObjectNode arguments) {
    ObjectNode request = Json.object();
    PASSED_ON.stream().filter(arguments::has).forEach(key -> request.set(key, arguments.path(key)));
    if (arguments.path("messages").isArray()) {
      request.set("messages", arguments.path("messages"));
      return Optional.of(request);
    }
    String prompt = Json.text(arguments, "prompt");
    if (prompt == null) {
      return Optional.empty();
    }
    ArrayNode messages = request.putArray("messages");
    String system = Json.text(arguments, "system");
    if (system != null) {
      messages.addObject().put("role", "system").put("content", system);
    }
    messages.addObject().put("role", "user").put("content", prompt);
    return Optional.of(request);
  }

  // The results

  private static ObjectNode result(String text, ObjectNode structured, boolean error) {
    ObjectNode result = Json.object();
    result.putArray("content").addObject().put("type", "text").put("text", text);
    result.set("structuredContent", structured);
    if (error) {
      result.put("isError", true);
    }
    return result;
  }

  /**
   * A refusal for want of payment carries what to pay, as a result that is an error (x402, MCP).
   */
  private static ObjectNode answered(Said said) {
    ObjectNode result;
    if (said.isWhole()) {
      result = result(said.words(), said.body(), false);
    } else if (said.required().isPresent()) {
      ObjectNode required = named(said.required().get());
      result = result(Json.write(required), required, true);
    } else {
      result = result(said.problem(), said.body(), true);
    }
    if (said.settled().isPresent()) {
      ObjectNode meta = result.putObject("_meta");
      meta.set(PAYMENT_RESPONSE, said.settled().get());
      if (!said.receipt().isEmpty()) {
        meta.put("gridtie/receipt", said.receipt());
      }
    }
    return result;
  }

  private static ObjectNode quoted(Said said) {
    if (said.required().isPresent()) {
      ObjectNode required = named(said.required().get());
      return result(said.problem(), required, false);
    }
    return said.isWhole()
        ? result("This call is free.", Json.object().put("free", true), false)
        : result(said.problem(), said.body(), true);
  }

  /** What is paid for is the tool. */
  private static ObjectNode named(ObjectNode required) {
    if (required.path("resource") instanceof ObjectNode resource) {
      resource.put("url", "mcp://tool/chat");
    }
    return required;
  }
}
