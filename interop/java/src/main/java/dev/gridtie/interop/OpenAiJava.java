package dev.gridtie.interop;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionFunctionTool;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.chat.completions.ChatCompletionTool;
import com.openai.models.chat.completions.ChatCompletionToolMessageParam;
import java.util.List;
import java.util.Map;

/** OpenAI's own Java client through the gateway to each upstream dialect. Ends with 0 where all is well. */
public final class OpenAiJava {
  private OpenAiJava() {}

  public static void main(String[] arguments) {
    OpenAIClient client =
        OpenAIOkHttpClient.builder()
            .baseUrl(System.getenv("GRIDTIE_URL") + "/v1")
            .apiKey(System.getenv("GRIDTIE_KEY"))
            .maxRetries(0)
            .build();
    for (String upstream : List.of("openai", "responses", "anthropic", "gemini")) {
      plain(client, upstream);
      streamed(client, upstream);
      tools(client, upstream);
      refused(client, upstream);
      System.out.println(upstream + ": plain, streamed, tools in two turns, an error");
    }
    System.exit(0);
  }

  private static ChatCompletionCreateParams.Builder ask(String model) {
    return ChatCompletionCreateParams.builder().model(model).addUserMessage("weather in Paris?");
  }

  private static void require(boolean condition, String what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }

  private static void plain(OpenAIClient client, String upstream) {
    ChatCompletion answer = client.chat().completions().create(ask(upstream + "/plain").build());
    String text = answer.choices().get(0).message().content().orElse("");
    require(text.equals("Hello from " + upstream + "."), text);
    require(answer.usage().orElseThrow().promptTokens() == 11, "prompt tokens");
  }

  private static void streamed(OpenAIClient client, String upstream) {
    ChatCompletionAccumulator accumulator = ChatCompletionAccumulator.create();
    try (StreamResponse<ChatCompletionChunk> stream =
        client
            .chat()
            .completions()
            .createStreaming(
                ask(upstream + "/plain")
                    .streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build())
                    .build())) {
      stream.stream().forEach(accumulator::accumulate);
    }
    String text = accumulator.chatCompletion().choices().get(0).message().content().orElse("");
    require(text.equals("Hello from " + upstream + "."), text);
  }

  private static void tools(OpenAIClient client, String upstream) {
    FunctionParameters parameters =
        FunctionParameters.builder()
            .putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty(
                "properties", JsonValue.from(Map.of("city", Map.of("type", "string"))))
            .build();
    ChatCompletionTool tool =
        ChatCompletionTool.ofFunction(
            ChatCompletionFunctionTool.builder()
                .function(
                    FunctionDefinition.builder().name("get_weather").parameters(parameters).build())
                .build());
    ChatCompletionCreateParams.Builder conversation = ask(upstream + "/tools").addTool(tool);
    ChatCompletion first = client.chat().completions().create(conversation.build());
    var message = first.choices().get(0).message();
    var call = message.toolCalls().orElseThrow().get(0).asFunction();
    require(call.function().arguments().contains("Paris"), "arguments");
    conversation.addMessage(message);
    conversation.addMessage(
        ChatCompletionToolMessageParam.builder().toolCallId(call.id()).content("21").build());
    ChatCompletion second = client.chat().completions().create(conversation.build());
    String text = second.choices().get(0).message().content().orElse("");
    require(text.equals("It is 21 degrees."), text);
  }

  private static void refused(OpenAIClient client, String upstream) {
    try {
      client.chat().completions().create(ask(upstream + "/fail400").build());
      throw new AssertionError("an error was expected");
    } catch (BadRequestException e) {
      require(!String.valueOf(e.getMessage()).contains("sk-fake"), "the provider's key leaked");
    }
  }
}
