// Anthropic messages as its published types have them.
import { isSchema, isText, need, only, png } from "./check.mjs";

const FIELDS =
  ("max_tokens messages model cache_control container inference_geo metadata output_config service_tier speed stop_sequences" +
    " stream system temperature thinking tool_choice tools top_k top_p").split(" ");
const SIGNATURE = "sig-123==";
const BLOCKS = {
  text: ["type", "text", "cache_control", "citations"],
  image: ["type", "source", "cache_control"],
  document: ["type", "source", "cache_control", "title", "context", "citations"],
  thinking: ["type", "thinking", "signature"],
  redacted_thinking: ["type", "data"],
  tool_use: ["type", "id", "name", "input", "cache_control", "caller"],
  tool_result: ["type", "tool_use_id", "content", "is_error", "cache_control"],
};

export function check(body, headers, key) {
  need(headers["x-api-key"] === key, "invalid x-api-key", 401);
  need(/^\d{4}-\d\d-\d\d$/.test(headers["anthropic-version"] ?? ""), "anthropic-version: header is required");
  only(body, FIELDS, "body");
  need(isText(body.model), "model: Field required");
  need(Number.isInteger(body.max_tokens) && body.max_tokens > 0, "max_tokens: Field required");
  need(Array.isArray(body.messages) && body.messages.length > 0, "messages: at least one message is required");
  need(body.temperature === undefined || (body.temperature >= 0 && body.temperature <= 1), "temperature: range: 0..1");
  let open = [];
  let role = "assistant";
  body.messages.forEach((m, i) => {
    const where = `messages.${i}`;
    only(m, ["role", "content"], where);
    need(["user", "assistant"].includes(m.role), `${where}: role ${m.role}`);
    need(m.role !== role, `${where}: roles must alternate between "user" and "assistant"`);
    role = m.role;
    const blocks = typeof m.content === "string" ? [{ type: "text", text: m.content }] : m.content;
    need(blocks.length > 0, `${where}: content must not be empty`);
    let results = 0;
    blocks.forEach((block, j) => {
      need(BLOCKS[block.type], `${where}.content.${j}: type ${block.type}`);
      only(block, BLOCKS[block.type], `${where}.content.${j}`);
      if (block.type === "text") need(isText(block.text), `${where}: text content blocks must be non-empty`);
      if (block.type === "thinking") {
        need(m.role === "assistant", `${where}: thinking in the user's turn`);
        need(block.signature === SIGNATURE, `${where}.content.${j}: Invalid \`signature\` in \`thinking\` block`);
      }
      if (block.type === "tool_use") {
        need(/^[a-zA-Z0-9_-]+$/.test(block.id), `${where}: tool_use.id`);
        need(block.input && typeof block.input === "object" && !Array.isArray(block.input), `${where}: tool_use.input must be an object`);
      }
      if (block.type === "tool_result") {
        need(m.role === "user" && j === results++, `${where}: tool_result blocks must come first`);
        need(open.includes(block.tool_use_id), `${where}: unexpected tool_use_id ${block.tool_use_id}`);
        open = open.filter((id) => id !== block.tool_use_id);
      }
    });
    need(open.length === 0, `${where}: tool_use ids were found without tool_result blocks immediately after: ${open}`);
    if (m.role === "assistant") open = blocks.filter((b) => b.type === "tool_use").map((b) => b.id);
  });
  need(open.length === 0, "tool_use without tool_result");
  for (const tool of body.tools ?? []) {
    only(tool, ["name", "description", "input_schema", "cache_control", "strict", "type"], "tools");
    need(isText(tool.name) && isSchema(tool.input_schema), "a broken tool");
  }
  if (body.tool_choice) only(body.tool_choice, ["type", "name", "disable_parallel_tool_use"], "tool_choice");
  if (body.thinking?.type === "enabled") {
    need(body.thinking.budget_tokens >= 1024, "thinking.budget_tokens: at least 1024");
    need(body.thinking.budget_tokens < body.max_tokens, "max_tokens must be greater than thinking.budget_tokens");
  }
  if (body.output_config) only(body.output_config, ["effort", "format"], "output_config");
}

const started = {
  input_tokens: 7, cache_creation_input_tokens: 0, cache_read_input_tokens: 4, cache_creation: null, output_tokens: 1,
  service_tier: "standard",
};
const counted = { ...started, output_tokens: 5 };

function scene(scenario, body) {
  const blocks = (m) => (typeof m.content === "string" ? [] : m.content);
  const results = blocks(body.messages.at(-1)).filter((b) => b.type === "tool_result");
  switch (scenario) {
    case "reason":
      if (results.length) {
        const turn = blocks(body.messages.at(-2));
        need(turn[0]?.type === "thinking" && turn[0].thinking === "Where is that?", "Expected `thinking`, but found `tool_use`");
        return [["text", "It is 21 degrees."]];
      }
      return [["thinking", "Where is that?"], ["call", "toolu_paris", { city: "Paris" }]];
    case "tools":
      return results.length ? [["text", "It is 21 degrees."]] : [["call", "toolu_paris", { city: "Paris" }]];
    case "parallel":
      if (results.length) {
        need(results.length === 2, "both results are wanted");
        return [["text", "Paris 21, Rome 30."]];
      }
      return [["text", "Let me look."], ["call", "toolu_paris", { city: "Paris" }], ["call", "toolu_rome", { city: "Rome" }]];
    case "image": {
      const image = blocks(body.messages.at(-1)).find((b) => b.type === "image");
      need(image?.source.data === png && image.source.media_type === "image/png", "the picture is missing");
      return [["text", "A picture."]];
    }
    case "schema":
      need(body.output_config?.format?.schema?.properties?.city, "the schema is missing");
      return [["text", '{"city":"Paris"}']];
    default:
      return [["text", "Hello from anthropic."]];
  }
}

export function answer(scenario, body, out) {
  const parts = scene(scenario, body);
  const stop_reason = parts.some(([kind]) => kind === "call") ? "tool_use" : "end_turn";
  const head = { id: "msg_fake1", type: "message", role: "assistant", model: body.model };
  const whole = ([kind, a, b]) =>
    kind === "thinking" ? { type: "thinking", thinking: a, signature: SIGNATURE }
    : kind === "call" ? { type: "tool_use", id: a, name: "get_weather", input: b }
    : { type: "text", text: a, citations: null };
  if (!body.stream)
    return out.json({ ...head, content: parts.map(whole), stop_reason, stop_sequence: null, usage: counted });
  const send = (type, fields) => out.named(type, { type, ...fields });
  send("message_start", { message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage: started } });
  send("ping", {});
  for (const [index, part] of parts.entries()) {
    const [kind, a, b] = part;
    const empty = { ...whole(part), ...(kind === "text" ? { text: "" } : kind === "call" ? { input: {} } : { thinking: "", signature: "" }) };
    send("content_block_start", { index, content_block: empty });
    const delta = (d) => send("content_block_delta", { index, delta: d });
    if (kind === "thinking") {
      delta({ type: "thinking_delta", thinking: a });
      delta({ type: "signature_delta", signature: SIGNATURE });
    } else if (kind === "call") {
      const json = JSON.stringify(b);
      delta({ type: "input_json_delta", partial_json: "" });
      delta({ type: "input_json_delta", partial_json: json.slice(0, 6) });
      delta({ type: "input_json_delta", partial_json: json.slice(6) });
    } else {
      for (const text of a.match(/\S+\s*/g)) {
        delta({ type: "text_delta", text });
        if (scenario === "cut") return out.cut();
      }
    }
    send("content_block_stop", { index });
  }
  send("message_delta", { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 5 } });
  send("message_stop", {});
  out.end();
}

export const error = (status, message) => ({
  type: "error",
  error: { type: status === 429 ? "rate_limit_error" : status === 529 ? "overloaded_error" : "invalid_request_error", message },
});
