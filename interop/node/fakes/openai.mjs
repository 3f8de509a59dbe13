// OpenAI chat completions as its published types have them: what is not in them is refused.
import { Bad, isSchema, isText, need, only, png } from "./check.mjs";

const FIELDS =
  ("messages model audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities n" +
    " parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort response_format" +
    " safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user" +
    " verbosity web_search_options").split(" ");

function content(value, where, types) {
  if (typeof value === "string") return;
  need(Array.isArray(value) && value.length > 0, `${where} must be a text or a list of parts`);
  for (const part of value) {
    need(types.includes(part.type), `${where}: a part of type ${part.type} has no place here`);
    if (part.type === "text") only(part, ["type", "text"], where);
    if (part.type === "image_url") {
      only(part, ["type", "image_url"], where);
      only(part.image_url, ["url", "detail"], where);
      need(/^(https?:|data:image\/png;base64,)/.test(part.image_url.url), `${where}: not an image's URL`);
    }
  }
}

export function check(body, headers, key) {
  need(headers.authorization === `Bearer ${key}`, "Incorrect API key provided", 401);
  only(body, FIELDS, "body");
  need(isText(body.model), "model is required");
  need(!("max_tokens" in body && "max_completion_tokens" in body), "max_tokens and max_completion_tokens exclude each other");
  need(Array.isArray(body.messages) && body.messages.length > 0, "messages must not be empty");
  let open = [];
  body.messages.forEach((m, i) => {
    const where = `messages[${i}]`;
    if (m.role === "tool") {
      only(m, ["role", "content", "tool_call_id"], where);
      content(m.content, where, ["text"]);
      need(open.includes(m.tool_call_id), `${where}: no tool call ${m.tool_call_id} before it`);
      open = open.filter((id) => id !== m.tool_call_id);
      return;
    }
    need(open.length === 0, `${where}: tool calls ${open} have no answer`);
    if (m.role === "assistant") {
      only(m, ["role", "content", "refusal", "name", "audio", "tool_calls"], where);
      need(m.content != null || m.tool_calls?.length, `${where}: content or tool_calls`);
      for (const call of m.tool_calls ?? []) {
        only(call, ["id", "type", "function"], where);
        only(call.function, ["name", "arguments"], where);
        need(isText(call.id) && call.type === "function" && isText(call.function.name), `${where}: a broken tool call`);
        JSON.parse(call.function.arguments);
        open.push(call.id);
      }
    } else {
      need(["system", "developer", "user"].includes(m.role), `${where}: role ${m.role}`);
      only(m, ["role", "content", "name"], where);
      content(m.content, where, m.role === "user" ? ["text", "image_url", "input_audio", "file"] : ["text"]);
    }
  });
  need(open.length === 0, `tool calls ${open} have no answer`);
  for (const tool of body.tools ?? []) {
    only(tool, ["type", "function"], "tools");
    only(tool.function, ["name", "description", "parameters", "strict"], "tools.function");
    need(tool.type === "function" && isText(tool.function.name) && isSchema(tool.function.parameters), "a broken tool");
  }
  if (body.response_format) {
    only(body.response_format, ["type", "json_schema"], "response_format");
    if (body.response_format.type === "json_schema") {
      only(body.response_format.json_schema, ["name", "description", "schema", "strict"], "json_schema");
      need(isText(body.response_format.json_schema.name), "json_schema.name is required");
    }
  }
  if ("reasoning_effort" in body)
    need(["none", "minimal", "low", "medium", "high", "xhigh"].includes(body.reasoning_effort), "reasoning_effort");
  if (body.stream_options) need(body.stream === true, "stream_options is only allowed with stream");
}

const usage = {
  prompt_tokens: 11,
  completion_tokens: 5,
  total_tokens: 16,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 2 },
};
const last = (body) => body.messages.at(-1);

/** The answer of a scenario: text, thoughts, calls. */
function scene(scenario, body) {
  const answered = last(body).role === "tool";
  switch (scenario) {
    case "tools":
    case "reason":
      if (answered) return { text: "It is 21 degrees." };
      need(body.tools?.length === 1, "the tool is missing");
      return {
        thoughts: scenario === "reason" ? "Where is that?" : undefined,
        calls: [["call_paris", "get_weather", '{"city":"Paris"}']],
      };
    case "parallel":
      if (answered) {
        need(body.messages.filter((m) => m.role === "tool").length === 2, "both results are wanted");
        return { text: "Paris 21, Rome 30." };
      }
      return {
        text: "Let me look.",
        calls: [["call_paris", "get_weather", '{"city":"Paris"}'], ["call_rome", "get_weather", '{"city":"Rome"}']],
      };
    case "image": {
      const part = Array.isArray(last(body).content) && last(body).content.find((p) => p.type === "image_url");
      need(part?.image_url.url === `data:image/png;base64,${png}`, "the picture is missing");
      return { text: "A picture." };
    }
    case "schema":
      need(body.response_format?.json_schema?.schema?.properties?.city, "the schema is missing");
      return { text: '{"city":"Paris"}' };
    default:
      return { text: "Hello from openai." };
  }
}

export function answer(scenario, body, out) {
  const { text, thoughts, calls } = scene(scenario, body);
  const head = { id: "chatcmpl-fake1", created: 1700000000, model: body.model };
  const finish = calls ? "tool_calls" : "stop";
  if (!body.stream) {
    const message = { role: "assistant", content: text ?? null, refusal: null };
    if (thoughts) message.reasoning_content = thoughts;
    if (calls) message.tool_calls = calls.map(([id, name, args]) => ({ id, type: "function", function: { name, arguments: args } }));
    return out.json({
      ...head,
      object: "chat.completion",
      choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
      usage,
    });
  }
  const chunk = (delta, finish_reason = null) =>
    out.event({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
  chunk({ role: "assistant", content: "" });
  if (thoughts) chunk({ reasoning_content: thoughts });
  for (const word of (text ?? "").match(/\S+\s*/g) ?? []) {
    chunk({ content: word });
    if (scenario === "cut") return out.cut();
  }
  // The fragments of parallel calls come mixed, as they do from some servers.
  (calls ?? []).forEach(([id, name], index) =>
    chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }));
  const pieces = (calls ?? []).map(([, , args]) => [args.slice(0, 5), args.slice(5)]);
  for (const half of [0, 1])
    pieces.forEach((p, index) => chunk({ tool_calls: [{ index, function: { arguments: p[half] } }] }));
  chunk({}, finish);
  if (body.stream_options?.include_usage) out.event({ ...head, object: "chat.completion.chunk", choices: [], usage });
  out.raw("data: [DONE]\n\n");
  out.end();
}

export const error = (status, message) => ({
  error: { message, type: status === 429 ? "rate_limit_error" : "invalid_request_error", param: null, code: null },
});
export { Bad };
