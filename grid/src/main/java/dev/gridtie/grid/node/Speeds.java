package dev.gridtie.grid.node;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What the short benchmark has measured, kept in a file: it is run once for each model. */
final class Speeds {
  private static final int KEPT_MAX = 1_000;

  private final Path file;

  Speeds(Path file) {
    this.file = file;
  }

  private ObjectNode all() {
    try {
      return Json.parse(Files.readAllBytes(file)) instanceof ObjectNode known
          ? known
          : Json.object();
    } catch (IOException | Json.MalformedJsonException e) {
      return Json.object(); // it is measured anew
    }
  }

  Optional<Speed> find(String what) {
    JsonNode known = all().path(what);
    int prefill = known.path("prefillTps").asInt(0);
    int decode = known.path("decodeTps").asInt(0);
    return prefill > 0 && decode > 0 ? Optional.of(new Speed(prefill, decode)) : Optional.empty();
  }

  void keep(String what, Speed speed) throws IOException {
    ObjectNode json = all();
    if (json.size() >= KEPT_MAX) {
      json.removeAll();
    }
    json.putObject(what).put("prefillTps", speed.prefillTps()).put("decodeTps", speed.decodeTps());
    Files.createDirectories(file.getParent());
    Path next = file.resolveSibling(file.getFileName() + ".next");
    Files.writeString(next, Json.write(json) + "\n");
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
