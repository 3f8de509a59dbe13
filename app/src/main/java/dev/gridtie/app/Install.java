package dev.gridtie.app;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where this installation's own files are: the launcher says it in the system property {@code
 * gridtie.root}.
 */
record Install(Path root) {
  static Install here() {
    String root = System.getProperty("gridtie.root");
    return new Install(Path.of(root == null ? "." : root).toAbsolutePath().normalize());
  }

  Path nodeModules() {
    return root.resolve("native/node_modules");
  }

  Path tinyModel(String quantization) {
    return root.resolve("models/tiny/gridtie-tiny-" + quantization + ".gguf");
  }

  boolean hasNatives() {
    return Files.isDirectory(nodeModules());
  }
}
