// OpenAI responses as its published types have them.
import { isSchema, isText, need, only, png } from "./check.mjs";

const FIELDS =
  ("background conversation include input instructions max_output_tokens max_tool_calls metadata model parallel_tool_calls" +
    " previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning safety_identifier service_tier store stream" +
    " stream_options temperature text tool_choice tools top_logprobs top_p truncation user").split(" ");
const SEALED = "enc-456==";

export function check(body, headers, key) {
  need(headers.authorization === `Bearer ${key}`, "Incorrect API key provided", 401);
  only(body, FIELDS, "body");
  need(isText(body.model), "model is required");
  if ("max_output_tokens" in body) need(body.max_output_tokens >= 16, "max_output_tokens must be at least 16");
  const open = new Set();
  const items = typeof body.input === "string" ? [] : body.input;
  need(typeof body.input === "string" || (Array.isArray(items) && items.length > 0), "input is required");
  items.forEach((item, i) => {
    const where = `input[${i}]`;
    switch (item.type ?? "message") {
      case "message": {
        only(item, ["type", "role", "content", "status", "id", "phase"], where);
        need(["user", "assistant", "system", "developer"].includes(item.role), `${where}.role`);
        if (typeof item.content === "string") break;
        const types = item.role === "assistant" ? ["output_text", "refusal"] : ["input_text", "input_image", "input_file"];
        for (const part of item.content) need(types.includes(part.type), `${where}: ${part.type} in a turn of ${item.role}`);
        break;
      }
      case "function_call":
        only(item, ["type", "id", "call_id", "name", "arguments", "status"], where);
        need(isText(item.call_id) && isText(item.name), `${where}: a broken call`);
        JSON.parse(item.arguments);
        open.add(item.call_id);
        break;
      case "function_call_output":
        only(item, ["type", "id", "call_id", "output", "status"], where);
        need(open.delete(item.call_id), `${where}: No tool call found for function call output with call_id ${item.call_id}`);
        break;
      case "reasoning":
        only(item, ["type", "id", "summary", "content", "encrypted_content", "status"], where);
        need(Array.isArray(item.summary), `${where}.summary is required`);
        need(item.encrypted_content === undefined || item.encrypted_content === SEALED, `${where}: the encrypted content could not be verified`);
        break;
      default:
        need(false, `${where}: type ${item.type}`);
    }
  });
  need(open.size === 0, `No tool output found for function call ${[...open]}`);
  for (const tool of body.tools ?? []) {
    only(tool, ["type", "name", "description", "parameters", "strict"], "tools");
    need(tool.type === "function" && isText(tool.name) && isSchema(tool.parameters), "a broken tool");
  }
  if (body.text) only(body.text, ["format", "verbosity"], "text");
  if (body.reasoning) only(body.reasoning, ["effort", "summary"], "reasoning");
}

const usage = {
  input_tokens: 11,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 16,
};

function scene(scenario, body) {
  const items = typeof body.input === "string" ? [] : body.input;
  const results = items.filter((i) => i.type === "function_call_output");
  switch (scenario) {
    case "reason":
      if (results.length) {
        const thought = items.find((i) => i.type === "reasoning");
        need(thought?.encrypted_content === SEALED, "the reasoning item is missing");
        need(items.indexOf(thought) < items.findIndex((i) => i.type === "function_call"), "reasoning must come before its call");
        return [["text", "It is 21 degrees."]];
      }
      return [["thought", "Where is that?"], ["call", "call_paris", '{"city":"Paris"}']];
    case "tools":
      return results.length ? [["text", "It is 21 degrees."]] : [["call", "call_paris", '{"city":"Paris"}']];
    case "parallel":
      if (results.length) {
        need(results.length === 2, "both results are wanted");
        return [["text", "Paris 21, Rome 30."]];
      }
      return [["text", "Let me look."], ["call", "call_paris", '{"city":"Paris"}'], ["call", "call_rome", '{"city":"Rome"}']];
    case "image": {
      const part = items.at(-1)?.content?.find?.((p) => p.type === "input_image");
      need(part?.image_url === `data:image/png;base64,${png}`, "the picture is missing");
      return [["text", "A picture."]];
    }
    case "schema":
      need(body.text?.format?.type === "json_schema" && body.text.format.schema?.properties?.city, "the schema is missing");
      return [["text", '{"city":"Paris"}']];
    default:
      return [["text", "Hello from responses."]];
  }
}

export function answer(scenario, body, out) {
  const items = scene(scenario, body).map(([kind, a, b], i) => {
    if (kind === "thought")
      return { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: a }], encrypted_content: SEALED };
    if (kind === "call")
      return { id: `fc_${i}`, type: "function_call", status: "completed", arguments: b, call_id: a, name: "get_weather" };
    return {
      id: `msg_${i}`, type: "message", status: "completed", role: "assistant",
      content: [{ type: "output_text", text: a, annotations: [], logprobs: [] }],
    };
  });
  const response = (status, output, counted) => ({
    id: "resp_fake1", object: "response", created_at: 1700000000, status, error: null, incomplete_details: null,
    instructions: null, max_output_tokens: null, model: body.model, output, parallel_tool_calls: true,
    previous_response_id: null, reasoning: { effort: null, summary: null }, store: false, temperature: 1,
    text: { format: { type: "text" } }, tool_choice: "auto", tools: [], top_p: 1, truncation: "disabled",
    usage: counted, user: null, metadata: {},
  });
  if (!body.stream) return out.json(response("completed", items, usage));
  let n = 0;
  const send = (type, fields) => out.named(type, { type, sequence_number: n++, ...fields });
  send("response.created", { response: response("in_progress", [], null) });
  send("response.in_progress", { response: response("in_progress", [], null) });
  for (const [output_index, item] of items.entries()) {
    const at = { item_id: item.id, output_index };
    if (item.type === "message") {
      const text = item.content[0].text;
      const part = { ...item.content[0], text: "" };
      send("response.output_item.added", { output_index, item: { ...item, status: "in_progress", content: [] } });
      send("response.content_part.added", { ...at, content_index: 0, part });
      for (const delta of text.match(/\S+\s*/g)) {
        send("response.output_text.delta", { ...at, content_index: 0, delta, logprobs: [] });
        if (scenario === "cut") return out.cut();
      }
      send("response.output_text.done", { ...at, content_index: 0, text, logprobs: [] });
      send("response.content_part.done", { ...at, content_index: 0, part: item.content[0] });
    } else if (item.type === "function_call") {
      send("response.output_item.added", { output_index, item: { ...item, status: "in_progress", arguments: "" } });
      send("response.function_call_arguments.delta", { ...at, delta: item.arguments });
      send("response.function_call_arguments.done", { ...at, arguments: item.arguments });
    } else {
      send("response.output_item.added", { output_index, item: { ...item, summary: [] } });
      send("response.reasoning_summary_part.added", { ...at, summary_index: 0, part: { type: "summary_text", text: "" } });
      send("response.reasoning_summary_text.delta", { ...at, summary_index: 0, delta: item.summary[0].text });
      send("response.reasoning_summary_text.done", { ...at, summary_index: 0, text: item.summary[0].text });
      send("response.reasoning_summary_part.done", { ...at, summary_index: 0, part: item.summary[0] });
    }
    send("response.output_item.done", { output_index, item });
  }
  send("response.completed", { response: response("completed", items, usage) });
  out.end();
}

export const error = (status, message) => ({ error: { message, type: "invalid_request_error", param: null, code: null } });
