package dev.gridtie.app;

import dev.gridtie.grid.model.Gguf;
import dev.gridtie.grid.model.Manifest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code gridtie model}: models as the grid knows them. */
@Command(
    name = "model",
    mixinStandardHelpOptions = true,
    description = "Describes models for the grid by what their files hold.",
    subcommands = {ModelCommand.Describe.class})
final class ModelCommand {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  static String json(Manifest manifest) {
    return MAPPER.writeValueAsString(manifest) + "\n";
  }

  /** Reads and hashes a model's files, and says how far it has come. */
  static Manifest describe(String id, Map<String, Path> files) throws IOException {
    long bytes = 0;
    for (Path file : files.values()) {
      bytes += Files.size(file);
    }
    Progress progress = new Progress("bytes of " + id + " hashed", bytes);
    long[] done = {0};
    Manifest manifest =
        Gguf.manifest(
            id,
            files,
            n -> {
              done[0] += n;
              progress.show(done[0]);
            });
    progress.end();
    return manifest;
  }

  /** {@code gridtie model manifest}. */
  @Command(
      name = "manifest",
      mixinStandardHelpOptions = true,
      description = {
        "Prints a model's manifest: its shape, and the hashes of its files, each piece by itself.",
        "For gateways that have no file themselves: nodes fetch it from other nodes of the pool."
      })
  static final class Describe implements Callable<Integer> {
    @Option(
        names = "--id",
        paramLabel = "MODEL",
        required = true,
        description = "What clients call it, such as meta-llama/llama-3.1-8b-instruct.")
    private String id = "";

    @Parameters(
        paramLabel = "QUANTIZATION=FILE",
        arity = "1..*",
        description = "Its GGUFs, such as Q8_0=llama-Q8_0.gguf.")
    private Map<String, Path> files = new LinkedHashMap<>();

    @Override
    public Integer call() throws IOException {
      for (Path file : files.values()) {
        if (!Files.isReadable(file)) {
          throw new Main.Failure("there is no file to read at " + file);
        }
      }
      Manifest manifest = describe(id, files);
      System.out.print(json(manifest));
      return 0;
    }
  }
}
