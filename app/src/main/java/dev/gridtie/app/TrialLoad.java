package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Sandbox;
import dev.gridtie.grid.engine.Turn;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a trial asks, and whether it is answered rightly. Each stream asks one request after the
 * other; what is right is what {@link #learn} was told. Safe for use by many threads.
 */
final class TrialLoad {
  private static final int REQUEST_SECONDS_MAX = 120;

  private static final List<String> QUESTIONS =
      List.of(
          "What is x402?",
          "How do I pay?",
          "What is a hold?",
          "What is a receipt?",
          "Tell me a joke.",
          "What is the ledger?",
          "Who are you?",
          "What is net metering?");

  private final GridTrial.Plan plan;
  private final Path folder;
  private final HttpClient http;
  private final URI gateway;
  private final String key;
  private final Map<Integer, String> expected = new ConcurrentHashMap<>();

  /**
   * @param folder where engines that are called directly write their errors
   * @param http closed by whoever gave it
   */
  TrialLoad(GridTrial.Plan plan, Path folder, HttpClient http, URI gateway, String key) {
    this.plan = plan;
    this.folder = folder;
    this.http = http;
    this.gateway = gateway;
    this.key = key;
  }

  /**
   * What came of a run.
   *
   * @param right answers that came whole and are what they should be
   * @param otherwise answers that came whole and are not
   * @param broken answers that did not come whole
   * @param seconds that each took, sorted
   */
  record Outcome(
      int asked, int right, int otherwise, int broken, double[] seconds, List<String> problems) {
    double median() {
      return percentile(50);
    }

    double percentile(int percent) {
      return seconds.length == 0
          ? 0
          : seconds[Math.min(seconds.length - 1, seconds.length * percent / 100)];
    }
  }

  /** Answers a request, given its number; gives its text, or says why there is none. */
  private interface Answering {
    String answer(int request) throws Exception;
  }

  private static String question(int request) {
    return QUESTIONS.get(request % QUESTIONS.size());
  }

  /** Asks each request once, and keeps what is answered as what is right. */
  Outcome learn() throws InterruptedException {
    AtomicInteger next = new AtomicInteger();
    return load(
        request -> {
          String text = ask(request);
          expected.put(request, text);
          return text;
        },
        () -> next.getAndIncrement(),
        i -> i >= plan.distinct());
  }

  /** Asks for so long. */
  Outcome run(Duration length) throws InterruptedException {
    long end = System.nanoTime() + length.toNanos();
    AtomicInteger next = new AtomicInteger();
    return load(this::ask, next::getAndIncrement, i -> System.nanoTime() > end);
  }

  private interface Numbers {
    int next();
  }

  private interface Over {
    boolean at(int number);
  }

  private Outcome load(Answering answering, Numbers numbers, Over over)
      throws InterruptedException {
    List<Double> seconds = new ArrayList<>();
    List<String> problems = new ArrayList<>();
    int[] counts = new int[4];
    List<Thread> threads = new ArrayList<>();
    for (int s = 0; s < plan.streams(); s++) {
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    for (int n = numbers.next(); !over.at(n); n = numbers.next()) {
                      one(answering, n % plan.distinct(), seconds, problems, counts);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    double[] sorted = seconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    return new Outcome(counts[0], counts[1], counts[2], counts[3], sorted, List.copyOf(problems));
  }

  private void one(
      Answering answering, int request, List<Double> seconds, List<String> problems, int[] counts) {
    long began = System.nanoTime();
    @Nullable String text = null;
    String problem = "";
    try {
      text = answering.answer(request);
    } catch (Exception e) {
      problem = String.valueOf(e.getMessage());
    }
    double took = (System.nanoTime() - began) / 1e9;
    synchronized (counts) {
      counts[0]++;
      if (text == null) {
        counts[3]++;
        problems.add(problem);
        return;
      }
      seconds.add(took);
      boolean right = text.equals(expected.getOrDefault(request, text));
      counts[right ? 1 : 2]++;
      if (!right) {
        problems.add("request " + request + " was answered otherwise");
      }
    }
  }

  /** Asks by HTTP, as a stream. */
  private String ask(int request) throws Exception {
    ObjectNode json = Json.object();
    json.put("model", GridTrial.MODEL);
    json.putArray("messages").addObject().put("role", "user").put("content", question(request));
    json.put("temperature", 1.2);
    json.put("seed", request);
    json.put("max_tokens", plan.maxTokens());
    json.put("stream", true);
    var answer =
        http.send(
            HttpRequest.newBuilder(gateway.resolve("/v1/chat/completions"))
                .timeout(Duration.ofSeconds(REQUEST_SECONDS_MAX))
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + key)
                .POST(HttpRequest.BodyPublishers.ofByteArray(Json.writeBytes(json)))
                .build(),
            HttpResponse.BodyHandlers.ofInputStream());
    StringBuilder text = new StringBuilder();
    boolean done = false;
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(answer.body(), StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (answer.statusCode() != 200 || line.contains("\"error\"")) {
          throw new IOException(answer.statusCode() + ": " + line);
        }
        if (line.equals("data: [DONE]")) {
          done = true;
        } else if (line.startsWith("data: ")) {
          JsonNode event = Json.parse(line.substring(6).getBytes(StandardCharsets.UTF_8));
          text.append(event.path("choices").path(0).path("delta").path("content").asString(""));
        }
      }
    }
    if (!done) {
      throw new IOException("the stream ended too early");
    }
    return text.toString();
  }

  // The same engines without the grid

  /** The same load at as many engines as there are nodes, called directly. */
  Outcome direct(Duration length) throws Exception {
    List<Engine> engines = new ArrayList<>();
    AtomicInteger[] busy = new AtomicInteger[plan.nodes()];
    try {
      for (int i = 0; i < plan.nodes(); i++) {
        busy[i] = new AtomicInteger();
        engines.add(
            Engine.start(
                new Engine.Config(
                    Engine.libraries(Install.here().nodeModules()),
                    Install.here().tinyModel("F16"),
                    plan.slots(),
                    512,
                    1,
                    folder.resolve("direct.log"),
                    List.of(),
                    plan.pace(),
                    Engine.PATIENCE,
                    Sandbox.Mode.AUTO)));
      }
      long end = System.nanoTime() + length.toNanos();
      AtomicInteger next = new AtomicInteger();
      return load(
          request -> directly(engines, busy, request),
          next::getAndIncrement,
          i -> System.nanoTime() > end);
    } finally {
      engines.forEach(Engine::close);
    }
  }

  private String directly(List<Engine> engines, AtomicInteger[] busy, int request)
      throws Exception {
    int least = 0;
    for (int i = 1; i < busy.length; i++) {
      least = busy[i].get() < busy[least].get() ? i : least;
    }
    busy[least].incrementAndGet();
    try {
      Whole whole = new Whole();
      Engine.Generation unused =
          engines
              .get(least)
              .generate(
                  new Ask(
                      List.of(new Turn("user", question(request))),
                      new Sampling(1.2, 0, 1, 0, request, List.of()),
                      plan.maxTokens()),
                  whole);
      return whole.done.get(REQUEST_SECONDS_MAX, TimeUnit.SECONDS);
    } finally {
      busy[least].decrementAndGet();
    }
  }

  private static final class Whole implements Engine.Listener {
    final CompletableFuture<String> done = new CompletableFuture<>();
    private final StringBuilder text = new StringBuilder();

    @Override
    public void started(int promptTokens) {}

    @Override
    public void text(String piece, List<Integer> tokens, int completionTokens) {
      text.append(piece);
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      done.complete(text.toString());
    }

    @Override
    public void failed(EngineFailure failure) {
      done.completeExceptionally(new IOException(failure.message()));
    }
  }
}
