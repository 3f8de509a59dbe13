// Gemini generateContent as its published types have them.
import { isSchema, isText, need, only, png } from "./check.mjs";

const FIELDS = ["contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent", "labels", "serviceTier"];
const CONFIG =
  ("temperature topP topK maxOutputTokens stopSequences candidateCount seed presencePenalty frequencyPenalty responseMimeType" +
    " responseSchema responseJsonSchema responseLogprobs logprobs thinkingConfig responseModalities mediaResolution").split(" ");
const PART = ["text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse"];
const SIGNATURE = "Z2VtaW5pLXNpZw==";
const SKIP = "skip_thought_signature_validator";

export function check(body, headers, key, scenario) {
  need(headers["x-goog-api-key"] === key, "API key not valid. Please pass a valid API key.", 400);
  only(body, FIELDS, "body");
  need(Array.isArray(body.contents) && body.contents.length > 0, "contents is not specified");
  let calls = 0;
  body.contents.forEach((turn, i) => {
    only(turn, ["role", "parts"], `contents[${i}]`);
    need(["user", "model", undefined].includes(turn.role), "Please use a valid role: user, model.");
    need(turn.parts?.length > 0, `contents[${i}].parts must not be empty`);
    const results = turn.parts.filter((p) => p.functionResponse).length;
    need(results === calls, "the number of function response parts must equal the number of function call parts");
    turn.parts.forEach((part, j) => {
      only(part, PART, `contents[${i}].parts[${j}]`);
      if (part.functionCall) only(part.functionCall, ["id", "name", "args"], "functionCall");
      if (part.functionResponse) {
        only(part.functionResponse, ["id", "name", "response"], "functionResponse");
        need(typeof part.functionResponse.response === "object", "functionResponse.response must be an object");
      }
      if (part.inlineData) only(part.inlineData, ["mimeType", "data"], "inlineData");
    });
    const first = turn.parts.find((p) => p.functionCall);
    if (first)
      need([SIGNATURE, SKIP].includes(first.thoughtSignature), "Function call is missing a thought_signature in functionCall parts");
    calls = turn.parts.filter((p) => p.functionCall).length;
  });
  need(calls === 0, "the last turn must not be a function call");
  for (const tool of body.tools ?? []) {
    only(tool, ["functionDeclarations"], "tools");
    for (const f of tool.functionDeclarations) {
      only(f, ["name", "description", "parameters", "parametersJsonSchema"], "functionDeclarations");
      need(isText(f.name) && (isSchema(f.parametersJsonSchema) || f.parameters?.type), "a broken function declaration");
    }
  }
  if (body.generationConfig) only(body.generationConfig, CONFIG, "generationConfig");
}

const usageMetadata = {
  promptTokenCount: 11, cachedContentTokenCount: 4, candidatesTokenCount: 3, thoughtsTokenCount: 2, totalTokenCount: 16,
};

function scene(scenario, body) {
  const last = body.contents.at(-1).parts;
  const results = last.filter((p) => p.functionResponse);
  const call = (city, thoughtSignature) => ({ functionCall: { name: "get_weather", args: { city } }, ...(thoughtSignature && { thoughtSignature }) });
  switch (scenario) {
    case "reason":
    case "tools":
      if (results.length) {
        const made = body.contents.at(-2).parts.find((p) => p.functionCall);
        need(made.thoughtSignature === SIGNATURE, "Function call is missing a thought_signature");
        return [{ text: "It is 21 degrees." }];
      }
      return [
        ...(scenario === "reason" && body.generationConfig?.thinkingConfig?.includeThoughts ? [{ text: "Where is that?", thought: true }] : []),
        call("Paris", SIGNATURE),
      ];
    case "parallel":
      if (results.length) {
        need(results.length === 2, "both results are wanted");
        return [{ text: "Paris 21, Rome 30." }];
      }
      return [{ text: "Let me look." }, call("Paris", SIGNATURE), call("Rome")];
    case "image":
      need(last.find((p) => p.inlineData)?.inlineData.data === png, "the picture is missing");
      return [{ text: "A picture." }];
    case "schema": {
      const config = body.generationConfig ?? {};
      const schema = config.responseJsonSchema ?? config.responseSchema;
      need(config.responseMimeType === "application/json" && schema?.properties?.city, "the schema is missing");
      return [{ text: '{"city":"Paris"}' }];
    }
    default:
      return [{ text: "Hello from gemini." }];
  }
}

export function answer(scenario, body, out, { stream, model, turn }) {
  const parts = scene(scenario, body);
  const tail = { modelVersion: model, responseId: `resp-${turn}` };
  const candidate = (p, more = {}) => [{ content: { role: "model", parts: p }, index: 0, ...more }];
  if (!stream) return out.json({ candidates: candidate(parts, { finishReason: "STOP" }), usageMetadata, ...tail });
  for (const part of parts) {
    if (part.text && !part.thought) {
      for (const text of part.text.match(/\S+\s*/g)) {
        out.event({ candidates: candidate([{ text }]), usageMetadata: { promptTokenCount: 11, totalTokenCount: 11 }, ...tail });
        if (scenario === "cut") return out.cut();
      }
    } else {
      out.event({ candidates: candidate([part]), ...tail });
    }
  }
  out.event({ candidates: candidate([{ text: "" }], { finishReason: "STOP" }), usageMetadata, ...tail });
  out.end();
}

export const error = (status, message) => ({
  error: { code: status, message, status: status === 429 ? "RESOURCE_EXHAUSTED" : "INVALID_ARGUMENT" },
});
