// Official clients behind one face: each asks in its own way and gives text, calls, usage, and a conversation to go on with.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { OpenRouter } from "@openrouter/sdk";
import OpenAI from "openai";
import { png } from "./fakes/check.mjs";

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const description = "The weather in a city";

/** OpenAI's chat completions. `forget` drops what a client that knows only the old fields would drop. */
export function openaiChat(url, key) {
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: key, maxRetries: 0 });
  const tool = { type: "function", function: { name: "get_weather", description, parameters: schema } };
  return {
    name: "openai chat",
    start: (text, image) => [
      { role: "user", content: image ? [{ type: "text", text }, { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }] : text },
    ],
    async ask(model, messages, { stream, tools, json, think } = {}) {
      const request = { model, messages };
      if (tools) request.tools = [tool];
      if (json) request.response_format = { type: "json_schema", json_schema: { name: "place", schema } };
      if (think) request.reasoning_effort = "low";
      let message, usage, finish;
      if (stream) {
        const runner = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
        const whole = await runner.finalChatCompletion();
        ({ message, finish_reason: finish } = whole.choices[0]);
        usage = whole.usage;
      } else {
        const whole = await client.chat.completions.create(request);
        ({ message, finish_reason: finish } = whole.choices[0]);
        usage = whole.usage;
      }
      const kept = { role: "assistant", content: message.content };
      if (message.tool_calls)
        kept.tool_calls = message.tool_calls.map(({ id, type, function: f }) => ({ id, type, function: { name: f.name, arguments: f.arguments } }));
      return {
        text: message.content ?? "",
        calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments) })),
        stopped: finish === "tool_calls" ? "tools" : finish,
        usage: { input: usage.prompt_tokens, cached: usage.prompt_tokens_details.cached_tokens, output: usage.completion_tokens },
        messages: [...messages, kept],
      };
    },
    results: (messages, results) => [
      ...messages,
      ...results.map(([call, content]) => ({ role: "tool", tool_call_id: call.id, content })),
    ],
  };
}

export function openaiResponses(url, key) {
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: key, maxRetries: 0 });
  return {
    name: "openai responses",
    start: (text, image) => [
      { role: "user", content: image ? [{ type: "input_text", text }, { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${png}` }] : text },
    ],
    async ask(model, input, { stream, tools, json, think } = {}) {
      const request = { model, input, store: false };
      if (tools) request.tools = [{ type: "function", name: "get_weather", description, parameters: schema, strict: false }];
      if (json) request.text = { format: { type: "json_schema", name: "place", schema } };
      if (think) Object.assign(request, { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] });
      const whole = stream ? await client.responses.stream(request).finalResponse() : await client.responses.create(request);
      const calls = whole.output.filter((o) => o.type === "function_call");
      return {
        text: whole.output_text,
        calls: calls.map((c) => ({ id: c.call_id, name: c.name, args: JSON.parse(c.arguments) })),
        stopped: whole.status === "completed" ? (calls.length ? "tools" : "stop") : whole.status,
        usage: { input: whole.usage.input_tokens, cached: whole.usage.input_tokens_details.cached_tokens, output: whole.usage.output_tokens },
        messages: [...input, ...whole.output.map(({ parsed_arguments, ...item }) => item)],
      };
    },
    results: (messages, results) => [
      ...messages,
      ...results.map(([call, output]) => ({ type: "function_call_output", call_id: call.id, output })),
    ],
  };
}

export function anthropic(url, key) {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  return {
    name: "anthropic",
    start: (text, image) => [
      { role: "user", content: image ? [{ type: "text", text }, { type: "image", source: { type: "base64", media_type: "image/png", data: png } }] : text },
    ],
    async ask(model, messages, { stream, tools, json, think } = {}) {
      const request = { model, messages, max_tokens: 4000 };
      if (tools) request.tools = [{ name: "get_weather", description, input_schema: schema }];
      if (json) request.output_config = { format: { type: "json_schema", schema } };
      if (think) request.thinking = { type: "enabled", budget_tokens: 1024 };
      const whole = stream ? await client.messages.stream(request).finalMessage() : await client.messages.create(request);
      const calls = whole.content.filter((b) => b.type === "tool_use");
      const u = whole.usage;
      return {
        text: whole.content.filter((b) => b.type === "text").map((b) => b.text).join(""),
        calls: calls.map((c) => ({ id: c.id, name: c.name, args: c.input })),
        stopped: { end_turn: "stop", tool_use: "tools" }[whole.stop_reason] ?? whole.stop_reason,
        usage: {
          input: u.input_tokens + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0),
          cached: u.cache_read_input_tokens,
          output: u.output_tokens,
        },
        messages: [...messages, { role: "assistant", content: whole.content.map(({ citations, parsed_output, ...block }) => block) }],
      };
    },
    results: (messages, results) => [
      ...messages,
      { role: "user", content: results.map(([call, content]) => ({ type: "tool_result", tool_use_id: call.id, content })) },
    ],
  };
}

export function gemini(url, key) {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
  return {
    name: "google-genai",
    start: (text, image) => [
      { role: "user", parts: [{ text }, ...(image ? [{ inlineData: { mimeType: "image/png", data: png } }] : [])] },
    ],
    async ask(model, contents, { stream, tools, json, think } = {}) {
      const config = {};
      if (tools) config.tools = [{ functionDeclarations: [{ name: "get_weather", description, parametersJsonSchema: schema }] }];
      if (json) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: schema });
      if (think) config.thinkingConfig = { includeThoughts: true, thinkingLevel: "LOW" };
      let parts = [], usage, finish;
      if (stream) {
        for await (const chunk of await client.models.generateContentStream({ model, contents, config })) {
          parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
          usage = chunk.usageMetadata ?? usage;
          finish = chunk.candidates?.[0]?.finishReason ?? finish;
        }
      } else {
        const whole = await client.models.generateContent({ model, contents, config });
        parts = whole.candidates[0].content.parts;
        usage = whole.usageMetadata;
        finish = whole.candidates[0].finishReason;
      }
      parts = parts.filter((p) => p.text !== "" || p.thoughtSignature);
      const calls = parts.filter((p) => p.functionCall).map((p) => p.functionCall);
      return {
        text: parts.filter((p) => p.text && !p.thought).map((p) => p.text).join(""),
        calls: calls.map((c) => ({ id: c.id, name: c.name, args: c.args })),
        stopped: finish === "STOP" ? (calls.length ? "tools" : "stop") : finish,
        usage: {
          input: usage.promptTokenCount,
          cached: usage.cachedContentTokenCount ?? 0,
          output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
        },
        messages: [...contents, { role: "model", parts }],
      };
    },
    results: (messages, results) => [
      ...messages,
      { role: "user", parts: results.map(([call, text]) => ({ functionResponse: { id: call.id, name: call.name, response: { result: text } } })) },
    ],
  };
}

export function openrouter(url, key) {
  const client = new OpenRouter({ serverURL: url + "/api/v1", apiKey: key, retryConfig: { strategy: "none" } });
  const tool = { type: "function", function: { name: "get_weather", description, parameters: schema } };
  return {
    name: "openrouter",
    client,
    start: (text, image) => [
      { role: "user", content: image ? [{ type: "text", text }, { type: "image_url", imageUrl: { url: `data:image/png;base64,${png}` } }] : text },
    ],
    async ask(model, messages, { stream, tools, json, think } = {}) {
      const request = { model, messages, stream: !!stream };
      if (tools) request.tools = [tool];
      if (json) request.responseFormat = { type: "json_schema", jsonSchema: { name: "place", schema } };
      if (think) request.reasoning = { effort: "low" };
      const answer = await client.chat.send({ chatRequest: request });
      let message, finish, usage;
      if (stream) {
        message = { role: "assistant", content: "", toolCalls: [], reasoningDetails: [] };
        for await (const chunk of answer) {
          const choice = chunk.choices[0];
          if (chunk.error) throw new Error(chunk.error.message);
          message.content += choice?.delta?.content ?? "";
          for (const call of choice?.delta?.toolCalls ?? []) {
            const at = (message.toolCalls[call.index] ??= { id: call.id, type: "function", function: { name: call.function.name, arguments: "" } });
            at.function.arguments += call.function?.arguments ?? "";
          }
          for (const d of choice?.delta?.reasoningDetails ?? []) {
            const before = message.reasoningDetails.at(-1);
            if (before && before.index === d.index && before.type === d.type && d.type === "reasoning.text") {
              before.text = (before.text ?? "") + (d.text ?? "");
              before.signature = d.signature ?? before.signature;
              before.format = d.format ?? before.format;
            } else message.reasoningDetails.push({ ...d });
          }
          finish = choice?.finishReason ?? finish;
          usage = chunk.usage ?? usage;
        }
      } else {
        message = answer.choices[0].message;
        finish = answer.choices[0].finishReason;
        usage = answer.usage;
      }
      const kept = { role: "assistant", content: message.content || null };
      if (message.toolCalls?.length) kept.toolCalls = message.toolCalls;
      if (message.reasoningDetails?.length) kept.reasoningDetails = message.reasoningDetails;
      return {
        text: message.content ?? "",
        calls: (message.toolCalls ?? []).map((c) => ({ id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments) })),
        stopped: finish === "tool_calls" ? "tools" : finish,
        usage: { input: usage.promptTokens, cached: usage.promptTokensDetails?.cachedTokens ?? 0, output: usage.completionTokens, cost: usage.cost },
        messages: [...messages, kept],
      };
    },
    results: (messages, results) => [
      ...messages,
      ...results.map(([call, content]) => ({ role: "tool", toolCallId: call.id, content })),
    ],
  };
}
