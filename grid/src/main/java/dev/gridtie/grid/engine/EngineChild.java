package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The child process that runs a model. Reads commands as JSON lines from standard input, answers
 * with JSON lines on standard output, and ends when the input does: when the parent closes it, or
 * is gone.
 */
public final class EngineChild {
  private static final int BATCH_TOKENS = 512;

  private static final int OUTPUT_BYTES = 1 << 16;

  /** A crash is told on the error output: nothing is written to files. */
  static final List<String> OPTIONS =
      List.of(
          "-XX:+UseSerialGC",
          "-Xmx512m",
          "-Xshare:auto",
          "-XX:-UsePerfData",
          "-XX:+ErrorFileToStderr",
          "-XX:+ExitOnOutOfMemoryError",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  private EngineChild() {}

  /**
   * Starts one.
   *
   * @param under what it is started under, such as {@code nice -n 19}; usually nothing
   * @param readable the libraries and the model, which may be links
   * @param log where its errors go
   */
  static Sandbox.Started start(
      Sandbox.Mode sandbox, List<String> under, List<Path> readable, Path log) throws IOException {
    return Sandbox.start(sandbox, under, OPTIONS, EngineChild.class, readable, log);
  }

  /** What it may read for some libraries: their folder, and the one beside it for older drivers. */
  static List<Path> with(Path libraries, Path... more) {
    List<Path> readable = new ArrayList<>(List.of(more));
    readable.add(libraries);
    Path older = Backends.older(libraries);
    if (Files.isRegularFile(older)) {
      readable.add(older.getParent());
    }
    return readable;
  }

  /** Takes no arguments: the first line of input says which model, where, and how. */
  public static void main(String[] arguments) throws Exception {
    PrintStream out =
        new PrintStream(
            new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), OUTPUT_BYTES),
            false,
            UTF_8);
    System.setOut(System.err); // whatever prints by accident must not stand between our lines
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    String first = in.readLine();
    if (first == null) {
      return;
    }
    Lines lines = new Lines(out);
    try {
      JsonNode config = Json.trusted(first);
      confine(config.path("sandbox").asString("off"));
      if (config.path("devices").asBoolean(false)) {
        lines.send(devices(Path.of(config.path("libraries").asString())));
      } else {
        serve(config, in, lines);
      }
    } catch (RuntimeException e) {
      ObjectNode failed = Json.object();
      failed.put("ev", "fatal");
      failed.put("message", String.valueOf(e.getMessage()));
      lines.send(failed);
      System.exit(1);
    }
  }

  /** Before anything of the model's is read. */
  private static void confine(String sandbox) {
    if (Confinement.isLinux()) {
      Confinement.limit();
    }
    Sandbox.Mode mode = Sandbox.Mode.of(sandbox);
    if (mode != Sandbox.Mode.OFF && !Confinement.seccomp()) {
      String missing = "this system takes no filter of system calls";
      if (mode == Sandbox.Mode.REQUIRED) {
        throw new IllegalStateException("a sandbox is required for engines, and " + missing);
      }
      System.err.println("engine sandbox: " + missing);
    }
  }

  private static ObjectNode devices(Path libraries) {
    ObjectNode answer = Json.object().put("ev", "devices");
    ArrayNode list = answer.putArray("list");
    try (Arena arena = Arena.ofConfined()) {
      for (Device device : new Backends(libraries, arena).devices()) {
        ObjectNode one = list.addObject();
        one.put("name", device.name());
        one.put("description", device.description());
        one.put("kind", device.kind().name().toLowerCase(Locale.ROOT));
        one.put("memory", device.memoryBytes());
        one.put("free", device.freeBytes());
      }
    }
    return answer;
  }

  private static void serve(JsonNode config, BufferedReader in, Lines lines)
      throws InterruptedException {
    int slots = config.path("slots").asInt();
    int context = config.path("context").asInt();
    Progress progress = new Progress();
    progress.working(true);
    CompletableFuture<Batcher> ready = new CompletableFuture<>();
    Thread.ofPlatform().daemon(true).name("commands").start(() -> read(in, ready, progress, lines));
    try (Llama llama =
        new Llama(
            Path.of(config.path("libraries").asString()),
            Path.of(config.path("model").asString()),
            slots,
            context,
            BATCH_TOKENS,
            config.path("threads").asInt(),
            progress)) {
      if (context > llama.trainedContext()) {
        throw new IllegalArgumentException(
            "the model was trained on "
                + llama.trainedContext()
                + " tokens of context, and "
                + context
                + " are asked");
      }
      PromptPool prompts = new PromptPool(System::nanoTime, EngineChild::endForTemplate);
      PromptEncoder encoder = new PromptEncoder(template(llama), llama);
      tryOut(encoder, prompts);
      Batcher batcher =
          new Batcher(
              llama,
              encoder,
              prompts,
              slots,
              context,
              BATCH_TOKENS,
              config.path("threads").asInt(),
              config.path("pace").asInt(),
              progress,
              lines);
      ready.complete(batcher);
      lines.send(
          Json.object()
              .put("ev", "ready")
              .put("parameters", llama.parameters())
              .put("trainedContext", llama.trainedContext())
              .put("version", Llama.VERSION));
      batcher.run();
    }
  }

  private static ChatTemplate template(Llama llama) {
    String template =
        llama
            .chatTemplate()
            .orElseThrow(
                () -> new IllegalArgumentException("the model's file carries no chat template"));
    try {
      return new JinjaTemplate(
          template, llama.specialText("bos"), llama.specialText("eos"), System::nanoTime);
    } catch (TemplateException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  /** A template that cannot render the simplest conversation is no template, or worse. */
  private static void tryOut(PromptEncoder encoder, PromptPool prompts)
      throws InterruptedException {
    CompletableFuture<PromptPool.Result> done = new CompletableFuture<>();
    boolean unused =
        prompts.submit(() -> encoder.encode(List.of(new Turn("user", "Hello"))), done::complete);
    if (done.join() instanceof PromptPool.Result.Refused refused) {
      throw new IllegalArgumentException(refused.message());
    }
  }

  private static void endForTemplate() {
    System.err.println("the model's chat template does not end; the engine does");
    Runtime.getRuntime().halt(1);
  }

  private static void read(
      BufferedReader in, CompletableFuture<Batcher> ready, Progress progress, Lines lines) {
    try {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        JsonNode json = Json.trusted(line);
        Batcher batcher = ready.getNow(null);
        if (json.path("op").asString().equals("ping")) {
          lines.send(
              Json.object()
                  .put("ev", "pong")
                  .put("steps", progress.steps())
                  .put("working", progress.isWorking()));
        } else if (batcher == null || !batcher.submit(command(json))) {
          lines.refused(json.path("id").asLong(), "overloaded", "too many commands wait");
        }
      }
    } catch (IOException e) {
      System.err.println("input ended: " + e.getMessage());
    }
    // The parent is gone or done. Nothing that is still being computed has a reader.
    Runtime.getRuntime().halt(0);
  }

  private static Batcher.Command command(JsonNode json) {
    long id = json.path("id").asLong();
    return switch (json.path("op").asString()) {
      case "count" -> new Batcher.Command.Count(id, turns(json));
      case "embed" -> new Batcher.Command.Embed(id, json.path("text").asString());
      case "generate" ->
          new Batcher.Command.Generate(
              id,
              new Ask(
                  turns(json),
                  sampling(json.path("sampling")),
                  json.path("max").asInt(),
                  json.path("said").valueStream().map(JsonNode::asInt).toList()));
      case "flow" -> new Batcher.Command.Flow(id, json.path("on").asBoolean());
      case "cancel" -> new Batcher.Command.Cancel(id);
      default -> throw new IllegalArgumentException("unknown command");
    };
  }

  private static List<Turn> turns(JsonNode json) {
    List<Turn> turns = new ArrayList<>();
    for (JsonNode turn : json.path("turns")) {
      turns.add(new Turn(turn.path("role").asString(), turn.path("content").asString()));
    }
    return turns;
  }

  private static Sampling sampling(JsonNode json) {
    List<String> stop = new ArrayList<>();
    json.path("stop").forEach(s -> stop.add(s.asString()));
    return new Sampling(
        json.path("temperature").asDouble(),
        json.path("topK").asInt(),
        json.path("topP").asDouble(),
        json.path("minP").asDouble(),
        json.path("seed").asLong(),
        stop);
  }

  /** Writes events, a line each. */
  private static final class Lines implements Batcher.Listener {
    private final PrintStream out;

    Lines(PrintStream out) {
      this.out = out;
    }

    synchronized void send(ObjectNode event) {
      add(event);
      flush();
    }

    /** Writes an event that may wait for {@link #flush}. */
    private synchronized void add(ObjectNode event) {
      out.print(Json.write(event));
      out.print('\n');
    }

    @Override
    public synchronized void flush() {
      if (out.checkError()) { // which flushes
        Runtime.getRuntime().halt(0); // nobody reads
      }
    }

    private static ObjectNode event(String name, long id) {
      ObjectNode event = Json.object();
      event.put("ev", name);
      event.put("id", id);
      return event;
    }

    @Override
    public void counted(long id, int tokens) {
      send(event("counted", id).put("tokens", tokens));
    }

    @Override
    public void embedded(long id, float[] values, int tokens) {
      ObjectNode event = event("embedded", id).put("tokens", tokens);
      var list = event.putArray("values");
      for (float value : values) {
        list.add(value);
      }
      send(event);
    }

    @Override
    public void started(long id, int promptTokens) {
      send(event("started", id).put("prompt", promptTokens));
    }

    @Override
    public void text(long id, String text, List<Integer> tokens, int completionTokens) {
      ObjectNode event = event("text", id).put("text", text).put("completion", completionTokens);
      var list = event.putArray("tokens");
      tokens.forEach(list::add);
      add(event);
    }

    @Override
    public void ended(long id, EndReason reason, int promptTokens, int completionTokens) {
      send(
          event("ended", id)
              .put("reason", reason.name())
              .put("prompt", promptTokens)
              .put("completion", completionTokens));
    }

    @Override
    public void refused(long id, String code, String message) {
      send(event("refused", id).put("code", code).put("message", message));
    }
  }
}
