package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.base.Numbers;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code gridtie chat}: asks, pays, streams the answer, and says what it cost. */
@Command(
    name = "chat",
    mixinStandardHelpOptions = true,
    description =
        "Asks a question, pays from the buyer's wallet, streams the answer, then prints price, transaction and receipt.")
final class ChatCommand implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Parameters(paramLabel = "QUESTION", description = "What to ask.")
  private String question = "";

  @Option(
      names = "--model",
      paramLabel = "ID",
      defaultValue = "gridtie/tiny",
      description = "Default: ${DEFAULT-VALUE}.")
  private String model = "";

  @Option(names = "--max-tokens", paramLabel = "N", description = "The most tokens of the answer.")
  private @Nullable Integer maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description =
          "0 for the likeliest words, up to 2 for surprising ones (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "The same seed and question give the same answer.")
  private @Nullable Long seed;

  @Option(
      names = "--max-usd",
      paramLabel = "USD",
      defaultValue = "0.10",
      description = "Never pay more than this for the answer (default: ${DEFAULT-VALUE}).")
  private String maxUsd = "";

  @Override
  public Integer call() throws Exception {
    UpFile up = UpFile.read(home.get());
    BigInteger cap = UpFile.pico("--max-usd", maxUsd);
    SpendingCaps caps =
        new SpendingCaps(
            cap,
            BigInteger.TWO.pow(200),
            home.get().path().resolve("chat-spending.json"),
            InstantSource.system(),
            up.watch());
    PayingClient client =
        up.payingClient(
            caps,
            new FilePaymentJournal(home.get().path().resolve("payments.json")),
            Validity.usual(InstantSource.system()));
    PayingClient.Result result;
    try {
      result =
          client.send(
              "POST",
              up.gateway().resolve("/v1/chat/completions"),
              Map.of("Content-Type", "application/json", "Accept", "text/event-stream"),
              Json.writeBytes(request()));
    } catch (SpendingCaps.UnavailableException e) {
      throw new Main.Failure(String.valueOf(e.getMessage()));
    } catch (IOException e) {
      throw new Main.Failure(
          "no gateway answers at "
              + up.gateway()
              + ": is ./gridtie up running? ("
              + e.getMessage()
              + ")");
    }
    return switch (result) {
      case PayingClient.Result.NotPaid notPaid -> {
        System.err.println("gridtie: not paid: " + notPaid.why().message());
        yield 1;
      }
      case PayingClient.Result.Lost lost -> {
        System.err.println("gridtie: the payment was sent and no answer came: " + lost.why());
        System.err.println(
            "Sending the same request with this header again gets the answer, at no further cost:");
        System.err.println(lost.headerName() + ": " + lost.headerValue());
        yield 1;
      }
      case PayingClient.Result.Answered answered -> {
        answered.open().ifPresent(why -> System.err.println("gridtie: " + why + "."));
        yield print(answered.response(), up);
      }
    };
  }

  private ObjectNode request() {
    ObjectNode json = Json.object();
    json.put("model", model);
    json.putArray("messages").addObject().put("role", "user").put("content", question);
    json.put("stream", true);
    json.put("temperature", temperature);
    if (maxTokens != null) {
      json.put("max_tokens", maxTokens);
    }
    if (seed != null) {
      json.put("seed", seed);
    }
    return json;
  }

  private static int print(PayingClient.Answer response, UpFile up)
      throws IOException,
          InterruptedException,
          Json.MalformedJsonException,
          MalformedPaymentException {
    if (response.statusCode() != 200) {
      byte[] body = response.body().readNBytes(64 * 1024);
      System.err.println("gridtie: " + errorMessage(body, response.statusCode()));
      return 1;
    }
    boolean whole = printEvents(response.body());
    System.out.println();
    System.out.println();
    Optional<String> settled = response.headers().firstValue(Headers.PAYMENT_RESPONSE);
    Optional<String> receiptId = response.headers().firstValue("X-Gridtie-Receipt");
    if (settled.isPresent() && receiptId.isPresent()) {
      SettleResponse settlement = SettleResponse.fromHeader(settled.get());
      printPrice(receiptId.get(), settlement, up);
      System.out.println("transaction  " + settlement.transaction());
      System.out.println("receipt      " + receiptId.get());
    }
    if (!whole) {
      System.err.println("gridtie: the answer broke off; only what is above was charged");
      return 1;
    }
    return 0;
  }

  /** Prints the text of a stream as it comes; whether it came to its end. */
  private static boolean printEvents(InputStream body)
      throws IOException, Json.MalformedJsonException {
    boolean whole = false;
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(body, UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        whole |= line.equals("data: [DONE]");
        if (whole || !line.startsWith("data: ")) {
          continue;
        }
        JsonNode event = Json.parse(line.substring("data: ".length()).getBytes(UTF_8));
        if (event.has("error")) {
          System.err.println();
          System.err.println("gridtie: " + event.path("error").path("message").asString(""));
          return false;
        }
        System.out.print(event.path("choices").path(0).path("delta").path("content").asString(""));
        System.out.flush();
      }
    }
    return whole;
  }

  private static void printPrice(String receiptId, SettleResponse settlement, UpFile up)
      throws IOException, InterruptedException, Json.MalformedJsonException {
    BigInteger amount = settlement.amount();
    PicoUsd paid = amount == null ? PicoUsd.ZERO : PicoUsd.ofAtomic(amount, 6);
    URI url = up.gateway().resolve("/v1/receipts/" + receiptId);
    try (HttpClient http = HttpClient.newHttpClient()) {
      HttpResponse<byte[]> answer =
          http.send(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofByteArray());
      if (answer.statusCode() == 200) {
        JsonNode price = Json.parse(answer.body()).path("receipt").path("price");
        PicoUsd charged = new PicoUsd(Numbers.uint256(price.path("charged").asString("0")));
        System.out.println(
            "price        "
                + charged
                + " of "
                + paid
                + " paid; the rest is on your balance of "
                + new PicoUsd(Numbers.uint256(price.path("balance").asString("0"))));
        return;
      }
    }
    System.out.println("price        at most " + paid);
  }

  private static String errorMessage(byte[] body, int status) {
    try {
      return Json.parse(body).path("error").path("message").asString("the gateway says " + status);
    } catch (Json.MalformedJsonException e) {
      return "the gateway says " + status;
    }
  }
}
