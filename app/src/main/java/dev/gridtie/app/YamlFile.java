package dev.gridtie.app;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.exc.PropertyBindingException;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Reads YAML into records: a key that is not known, or a required one that is missing, is an error.
 */
final class YamlFile {
  private static final YAMLMapper MAPPER =
      YAMLMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .disable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .build();

  private YamlFile() {}

  /**
   * Reads a file.
   *
   * @throws IOException naming the line and the key that is wrong
   */
  static <T> T read(Path file, Class<T> type) throws IOException {
    if (!Files.isReadable(file)) {
      throw new IOException(
          "there is no configuration to read at " + file + "; docs/gateway.md shows one");
    }
    return parse(file, Files.readAllBytes(file), type);
  }

  static <T> T parse(Path file, byte[] bytes, Class<T> type) throws IOException {
    try {
      return MAPPER.readValue(bytes, type);
    } catch (PropertyBindingException e) {
      throw new IOException(
          file
              + ": unknown key '"
              + e.getPropertyName()
              + "'; known here are "
              + e.getKnownPropertyIds());
    } catch (JacksonException e) {
      var at = e.getLocation();
      String line = at == null || at.getLineNr() < 1 ? "" : " line " + at.getLineNr();
      throw new IOException(
          file + line + ": " + e.getOriginalMessage().lines().findFirst().orElse(""));
    }
  }
}
