package dev.gridtie.grid.node;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** Finds OpenAI-compatible servers that the owner runs on this machine already. */
public final class FoundServers {
  /** Where each of them listens where nobody says otherwise. */
  public static final Map<String, Integer> USUAL =
      Map.of("llama-server", 8080, "ollama", 11434, "lmstudio", 1234, "vllm", 8000);

  private static final Duration PATIENCE = Duration.ofMillis(800);
  private static final int MODELS_MAX = 200;

  private FoundServers() {}

  /**
   * A server.
   *
   * @param url its base, with {@code /v1}
   * @param models as it calls them
   */
  public record Found(String name, URI url, List<String> models) {}

  /** Looks at the given ports of this machine, by name. */
  public static List<Found> look(HttpClient http, Map<String, Integer> ports)
      throws InterruptedException {
    List<Found> found = new ArrayList<>();
    for (var each : ports.entrySet()) {
      URI url = URI.create("http://127.0.0.1:" + each.getValue() + "/v1/");
      try {
        HttpResponse<byte[]> answer =
            http.send(
                HttpRequest.newBuilder(url.resolve("models")).timeout(PATIENCE).build(),
                HttpResponse.BodyHandlers.ofByteArray());
        JsonNode data = Json.parse(answer.body()).path("data");
        if (answer.statusCode() == 200 && data.isArray()) {
          List<String> models = new ArrayList<>();
          for (JsonNode model : data) {
            String id = Json.text(model, "id");
            if (id != null && models.size() < MODELS_MAX) {
              models.add(id);
            }
          }
          found.add(new Found(each.getKey(), url, models));
        }
      } catch (IOException | Json.MalformedJsonException e) {
        // Nobody there, or somebody else.
      }
    }
    return found;
  }
}
