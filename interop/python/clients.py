"""The official Python clients, each through its own dialect to each upstream dialect.

Run by interop/node/foreign.test.mjs, which starts the gateway and names it: GRIDTIE_URL, GRIDTIE_KEY.
"""

import json
import os
import unittest

import anthropic
import openai
from google import genai
from google.genai import types

URL = os.environ["GRIDTIE_URL"]
KEY = os.environ["GRIDTIE_KEY"]
DIALECTS = ["openai", "responses", "anthropic", "gemini"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
DESCRIPTION = "The weather in a city"


class OpenAiChat(unittest.TestCase):
    client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
    tools = [{"type": "function", "function": {"name": "get_weather", "description": DESCRIPTION, "parameters": SCHEMA}}]

    def test_plain_and_streamed(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                messages = [{"role": "user", "content": "hi"}]
                whole = self.client.chat.completions.create(model=f"{upstream}/plain", messages=messages)
                self.assertEqual(whole.choices[0].message.content, f"Hello from {upstream}.")
                self.assertEqual((whole.usage.prompt_tokens, whole.usage.completion_tokens), (11, 5))
                self.assertEqual(whole.usage.prompt_tokens_details.cached_tokens, 4)
                stream = self.client.chat.completions.create(
                    model=f"{upstream}/plain", messages=messages, stream=True, stream_options={"include_usage": True})
                chunks = list(stream)
                text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                self.assertEqual(text, f"Hello from {upstream}.")
                self.assertEqual(chunks[-1].usage.completion_tokens, 5)

    def test_a_tool_loop_with_state(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                messages = [{"role": "user", "content": "Paris and Rome?"}]
                first = self.client.chat.completions.create(model=f"{upstream}/parallel", messages=messages, tools=self.tools)
                message = first.choices[0].message
                self.assertEqual(first.choices[0].finish_reason, "tool_calls")
                self.assertEqual([json.loads(c.function.arguments)["city"] for c in message.tool_calls], ["Paris", "Rome"])
                # A client that knows only OpenAI's own fields gives only these back.
                calls = [{"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
                         for c in message.tool_calls]
                messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
                messages += [{"role": "tool", "tool_call_id": c["id"], "content": t} for c, t in zip(calls, ["21", "30"])]
                second = self.client.chat.completions.create(model=f"{upstream}/parallel", messages=messages, tools=self.tools)
                self.assertEqual(second.choices[0].message.content, "Paris 21, Rome 30.")

    def test_errors_have_their_class(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                messages = [{"role": "user", "content": "hi"}]
                with self.assertRaises(openai.BadRequestError):
                    self.client.chat.completions.create(model=f"{upstream}/fail400", messages=messages)
                with self.assertRaises(openai.APIError):
                    list(self.client.chat.completions.create(model=f"{upstream}/cut", messages=messages, stream=True))

    def test_responses(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                whole = self.client.responses.create(model=f"{upstream}/plain", input="hi", store=False)
                self.assertEqual(whole.output_text, f"Hello from {upstream}.")
                with self.client.responses.stream(model=f"{upstream}/plain", input="hi") as stream:
                    for _ in stream:
                        pass
                    final = stream.get_final_response()
                self.assertEqual(final.output_text, f"Hello from {upstream}.")
                self.assertEqual(final.usage.output_tokens, 5)


class Anthropic(unittest.TestCase):
    client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
    tools = [{"name": "get_weather", "description": DESCRIPTION, "input_schema": SCHEMA}]

    def test_plain_and_streamed(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                request = {"model": f"{upstream}/plain", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
                whole = self.client.messages.create(**request)
                self.assertEqual(whole.content[0].text, f"Hello from {upstream}.")
                self.assertEqual(whole.usage.input_tokens + whole.usage.cache_read_input_tokens, 11)
                with self.client.messages.stream(**request) as stream:
                    final = stream.get_final_message()
                self.assertEqual(final.content[0].text, f"Hello from {upstream}.")
                self.assertEqual(final.usage.output_tokens, 5)
                self.assertEqual(final.stop_reason, "end_turn")

    def test_thinking_with_a_tool_loop(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                request = {"model": f"{upstream}/reason", "max_tokens": 4000, "tools": self.tools,
                           "thinking": {"type": "enabled", "budget_tokens": 1024}}
                messages = [{"role": "user", "content": "weather in Paris?"}]
                with self.client.messages.stream(messages=messages, **request) as stream:
                    first = stream.get_final_message()
                self.assertEqual(first.stop_reason, "tool_use")
                call = next(b for b in first.content if b.type == "tool_use")
                messages += [{"role": "assistant", "content": first.content},
                             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21"}]}]
                second = self.client.messages.create(messages=messages, **request)
                self.assertEqual(second.content[-1].text, "It is 21 degrees.")

    def test_counting(self):
        counted = self.client.messages.count_tokens(model="openai/plain", messages=[{"role": "user", "content": "hi there"}])
        self.assertGreater(counted.input_tokens, 0)


class Gemini(unittest.TestCase):
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))

    def test_plain_and_streamed(self):
        for upstream in DIALECTS:
            with self.subTest(upstream):
                whole = self.client.models.generate_content(model=f"{upstream}/plain", contents="hi")
                self.assertEqual(whole.text, f"Hello from {upstream}.")
                chunks = list(self.client.models.generate_content_stream(model=f"{upstream}/plain", contents="hi"))
                self.assertEqual("".join(c.text or "" for c in chunks), f"Hello from {upstream}.")
                self.assertEqual(chunks[-1].usage_metadata.prompt_token_count, 11)


if __name__ == "__main__":
    unittest.main()
