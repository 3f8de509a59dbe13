package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.Embeddings;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.Outcome;
import io.vertx.core.buffer.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * In which form texts come and their vectors go: OpenAI's {@code /v1/embeddings}, Gemini's {@code
 * :embedContent} and {@code :batchEmbedContents}.
 */
enum EmbeddingsForm {
  OPENAI,
  GEMINI_ONE,
  GEMINI_MANY;

  private static final int TEXTS_MAX = 2048;

  /**
   * What is asked for.
   *
   * @param base64 whether vectors are to be written as bytes
   */
  record Wanted(String model, Embeddings.Request request, boolean base64) {}

  /**
   * Reads a body.
   *
   * @param model that the URL names; empty where the body does
   */
  Outcome<Wanted> read(String model, JsonNode json) {
    return Fields.outcome(
        () -> this == OPENAI ? openAi(Fields.root(json)) : gemini(this, model, json));
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
    in.refuseRest(Set.of("user", "provider"), key -> "has no place in a request for embeddings.");
    return new Wanted(
        model,
        new Embeddings.Request(texts, dimensions == null ? 0 : dimensions),
        "base64".equals(encoding));
  }

  private static Wanted gemini(EmbeddingsForm form, String model, JsonNode json)
      throws RefusedException {
    Fields in = Fields.root(json);
    List<Fields> requests = form == GEMINI_ONE ? List.of(in) : in.objects("requests", TEXTS_MAX);
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
    return new Wanted(model, new Embeddings.Request(texts, dimensions), false);
  }

  /** Writes the answer. */
  Buffer write(Wanted wanted, Embeddings given) {
    return Buffer.buffer(Json.write(json(wanted, given)).getBytes(UTF_8));
  }

  private ObjectNode json(Wanted wanted, Embeddings given) {
    ObjectNode json = Json.object();
    if (this == GEMINI_ONE) {
      json.putObject("embedding").set("values", numbers(given.vectors().getFirst()));
      return json;
    }
    if (this == GEMINI_MANY) {
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
        .put("prompt_tokens", given.usage().input())
        .put("total_tokens", given.usage().input());
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
