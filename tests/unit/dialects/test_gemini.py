from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lunaroute.dialects import framing_of, read_response_body, reader_for
from lunaroute.dialects.facts import MessageFacts, ResponseFacts, ToolResult, Usage
from lunaroute.dialects.gemini.message import read_message
from tests.unit.dialects.streams import message_of, read_stream, times

PATH_OF_ARGUMENTS = "$.recipe.steps[0].text"


def read(body: Any, status_code: int = 200) -> ResponseFacts:
    return read_response_body("gemini", [(1, json.dumps(body).encode())], "application/json", status_code)


def answer(*parts: Any, finish: Any = "STOP", **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1", **more}


def chunk(*parts: Any, **more: Any) -> dict[str, Any]:
    return answer(*parts, finish=None, **more)


# ---- requests


def test_a_request() -> None:
    body = {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "first"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "fine"}}},
                    {"functionResponse": {"id": "c2", "name": "g", "response": {"error": "no such file"}}},
                    {"functionResponse": {"name": "h", "response": {"n": 1}}},
                    {"text": "and now?"},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}],
    }
    facts = reader_for("gemini").read_request(json.dumps(body).encode())

    assert facts.request_text == "and now?"
    assert facts.message_count == 3
    assert facts.has_system_prompt
    assert facts.tool_count == 3
    assert facts.tool_results == [
        ToolResult(tool_call_id="c1", output_text="fine", output_size_bytes=4, is_error=False, tool_name="f"),
        ToolResult(tool_call_id="c2", output_text="no such file", output_size_bytes=12, is_error=True, tool_name="g"),
        ToolResult(tool_call_id=None, output_text='{"n":1}', output_size_bytes=7, tool_name="h"),
    ]


def test_a_request_in_the_other_spelling_and_in_code_assists_wrapping() -> None:
    inner = {
        "system_instruction": {"parts": [{"text": "x"}]},
        "contents": [{"parts": [{"text": "hi"}]}],
        "tools": [{"function_declarations": [{"name": "f"}]}],
    }
    facts = reader_for("gemini").read_request(json.dumps({"model": "gemini-x", "request": inner}).encode())

    assert (facts.model, facts.request_text, facts.tool_count) == ("gemini-x", "hi", 1)
    assert facts.has_system_prompt


# ---- responses


def test_a_result_that_a_resumed_session_repeats_counts_once() -> None:
    """gemini-cli's `--resume` sends each result of the earlier run twice, in one content."""
    result = {"functionResponse": {"id": "read_1", "name": "read", "response": {"output": "note"}}}
    without_id = {"functionResponse": {"name": "read", "response": {"output": "note"}}}

    def content(*parts: Any) -> MessageFacts:
        return read_message(msgspec.Raw(json.dumps({"role": "user", "parts": parts}).encode()))

    once, twice = content(result), content(result, result)
    assert (twice.tool_results, twice.digest) == (once.tool_results, once.digest)
    both = content(without_id, without_id)  # two calls with equal results, for all anybody can tell
    assert len(both.blocks) == 2
    assert both.digest != content(without_id).digest


def test_what_gemini_cli_says_of_the_place_is_not_what_the_user_said() -> None:
    parts = [{"text": "<session_context>\nThis is the Gemini CLI.\n</session_context>"}, {"text": "Count the lines."}]
    facts = reader_for("gemini").read_request(json.dumps({"contents": [{"role": "user", "parts": parts}]}).encode())
    assert facts.request_text == "Count the lines."


def test_an_answer_with_thoughts_calls_and_tools_of_googles_own() -> None:
    facts = read(
        answer(
            {"text": "let me see", "thought": True},
            {"executableCode": {"language": "PYTHON", "code": "1+1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            {"toolCall": {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}}},
            {"text": "two"},
            {"functionCall": {"name": "save", "args": {"n": 2}}, "thoughtSignature": "abc"},
            {"functionCall": {"id": "c7", "name": "done"}},
            {"somethingNew": {}},
        )
    )
    assert (facts.text, facts.thinking_text) == ("two", "let me see")
    assert [(c.tool_name, c.tool_call_id, c.arguments) for c in facts.tool_calls] == [
        ("save", None, '{"n":2}'),
        ("done", "c7", "{}"),
    ]
    assert [(c.tool_name, c.arguments) for c in facts.server_tool_calls] == [
        ("code_execution", "1+1"),
        ("GOOGLE_SEARCH_WEB", '{"queries":["q"]}'),
    ]
    assert facts.content_blocks[:3] == ["thought", "executableCode", "codeExecutionResult"]
    assert facts.unknown_events == {"somethingNew": 1}
    assert (facts.model, facts.response_id, facts.finish_reason) == ("gemini-2.5-flash", "r1", "STOP")


def test_thoughts_and_tool_prompts_are_outside_of_what_the_counts_say_and_the_cache_is_inside() -> None:
    usage = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 20,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 64,
        "totalTokenCount": 157,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
    }
    assert read(answer(usageMetadata=usage)).usage == Usage(
        input_tokens=120,
        output_tokens=37,
        thinking_tokens=30,
        cache_read_tokens=64,
        audio_input_tokens=10,
        raw=usage,
    )


@pytest.mark.parametrize(
    ("counts", "output_tokens"),
    [
        ({"promptTokenCount": 5, "thoughtsTokenCount": 9, "totalTokenCount": 14}, 9),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, 0),
        ({"promptTokenCount": 5}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": 0, "totalTokenCount": 5}, 0),
    ],
)
def test_a_count_of_the_answer_that_is_left_out_is_told_by_the_total(
    counts: dict[str, int], output_tokens: int | None
) -> None:
    usage = read(answer(usageMetadata=counts)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (5, output_tokens)


def test_modalities_and_reasons_as_numbers() -> None:
    details = [{"modality": 1, "tokenCount": 4}, {"modality": 4, "tokenCount": 6}]
    usage = {"promptTokenCount": 10, "totalTokenCount": 10, "promptTokensDetails": details}
    facts = read(answer({"text": "x"}, finish=2, usageMetadata=usage))

    assert facts.finish_reason == "2"
    assert facts.usage is not None
    assert facts.usage.audio_input_tokens == 6


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"promptTokenCount": 1, "serviceTier": "flex"}, "flex"),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND"}, None),
        ({"promptTokenCount": 1, "trafficType": 1}, None),
    ],
)
def test_the_tier_that_served_the_request(usage: dict[str, Any], tier: str | None) -> None:
    assert read(answer(usageMetadata=usage)).billing.service_tier == tier


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-3-pro-preview", 2)])
def test_searches_are_billed_by_the_prompt_before_gemini_3_and_by_the_query_since(model: str, searches: int) -> None:
    body = answer({"text": "x"}) | {"modelVersion": model}
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "", "b", "a"]}
    assert read(body).billing.web_searches == searches


def test_a_blocked_prompt_has_a_reason_and_no_answer() -> None:
    facts = read({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}})

    assert (facts.finish_reason, facts.text, facts.content_blocks) == ("PROHIBITED_CONTENT", "", [])
    assert facts.usage is not None


def test_several_candidates() -> None:
    body = answer({"text": "one"})
    body["candidates"].append({"content": {"parts": [{"text": "two"}]}, "index": 1, "finishReason": "MAX_TOKENS"})
    facts = read(body)
    assert (facts.text, facts.finish_reason) == ("one\ntwo", "STOP")


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("is_list", [True, False])
def test_an_error_as_object_or_list_under_either_type(content_type: str, is_list: bool) -> None:
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    body = json.dumps([error] if is_list else error).encode()
    for status_code in (429, 200):
        facts = read_response_body("gemini", [(1, body)], content_type, status_code)
        assert facts.error is not None
        assert (facts.error.type, facts.error.message) == ("RESOURCE_EXHAUSTED", "slow down")


# ---- streams


def test_a_stream_is_folded_into_the_answer_a_plain_call_would_have_given() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    payloads = [
        chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 3, "totalTokenCount": 3}),
        chunk({"text": "m.", "thought": True}),
        chunk({"text": "Hel"}),
        chunk({"text": "lo"}, {"functionCall": {"name": "f", "args": {"a": 1}}}),
        answer({"text": "", "thoughtSignature": "s"}, usageMetadata=usage),
    ]
    facts = read_stream("gemini", *payloads)

    assert (facts.text, facts.thinking_text, facts.finish_reason) == ("Hello", "hmm.", "STOP")
    assert facts.usage is not None
    assert (facts.usage.raw, facts.usage.output_tokens) == (usage, 2)
    assert [(call.tool_name, call.arguments, call.t_ns) for call in facts.tool_calls] == [("f", '{"a":1}', 40)]
    assert facts.is_finished
    parts = message_of(facts)["candidates"][0]["content"]["parts"]
    assert parts == [
        {"text": "hmm.", "thought": True},
        {"text": "Hello"},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"text": "", "thoughtSignature": "s"},
    ]
    assert times(facts) == [
        ("block_start", 10, "thought"),
        ("first_token", 10, None),
        ("block_stop", 30, "thought"),
        ("block_start", 30, "text"),
        ("block_stop", 40, "text"),
        ("block_start", 40, "functionCall"),
        ("block_stop", 40, "functionCall"),
        ("block_start", 50, "text"),
        ("block_stop", 50, "text"),
        ("completion", 50, "STOP"),
    ]


def test_the_last_counts_of_a_stream_count_even_where_they_are_smaller_or_absent() -> None:
    first = {"promptTokenCount": 3, "candidatesTokenCount": 9, "totalTokenCount": 12}
    last = {"promptTokenCount": 3, "candidatesTokenCount": 7, "totalTokenCount": 10}
    facts = read_stream("gemini", chunk({"text": "a"}, usageMetadata=first), answer(usageMetadata=last))
    assert facts.usage is not None
    assert facts.usage.output_tokens == 7

    facts = read_stream("gemini", chunk(usageMetadata=first), answer(usageMetadata={"trafficType": "ON_DEMAND"}))
    assert facts.usage is not None
    assert facts.usage.output_tokens == 9


def test_a_stream_as_a_json_array() -> None:
    body = b"[" + b"\n,\r\n".join(
        [json.dumps(chunk({"text": 'a "b" [{'})).encode(), json.dumps(answer({"text": "]}"})).encode()]
    )
    for size in (1, 7, 1000):
        reads = [(start, (body + b"\n]")[start : start + size]) for start in range(0, len(body) + 2, size)]
        assert framing_of("gemini", reads, "application/json") == "json_stream"
        facts = read_response_body("gemini", reads, "application/json; charset=UTF-8", 200)
        assert (facts.text, facts.is_finished) == ('a "b" [{]}', True)


def test_an_array_that_was_cut_keeps_what_had_arrived() -> None:
    body = b"[" + json.dumps(chunk({"text": "one"})).encode() + b",\n" + json.dumps(chunk({"text": "two"})).encode()
    facts = read_response_body("gemini", [(1, body[:-9])], "application/json", 200)
    assert (facts.text, facts.is_finished) == ("one", False)


def test_an_error_in_the_middle_of_a_stream() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    for payloads in ([chunk({"text": "a"}), error], [chunk({"text": "a"}), [error]]):
        facts = read_stream("gemini", *payloads)
        assert facts.error is not None
        assert (facts.text, facts.error.type, facts.is_finished) == ("a", "UNAVAILABLE", False)


def test_arguments_that_are_streamed_piece_by_piece_are_one_call() -> None:
    def piece(**fields: Any) -> dict[str, Any]:
        return chunk({"functionCall": fields})

    def partial(path: str, **value: Any) -> dict[str, Any]:
        return piece(partialArgs=[{"jsonPath": path, **value}], willContinue=True)

    facts = read_stream(
        "gemini",
        piece(name="cook", willContinue=True),
        partial(PATH_OF_ARGUMENTS, stringValue="boil ", willContinue=True),
        partial(PATH_OF_ARGUMENTS, stringValue="water"),
        partial("$.servings", numberValue=4.0),
        partial("$['it is hot']", boolValue=True),
        partial("nonsense[", stringValue="x"),
        partial("$.servings.deeper[99999999].x", numberValue=1),
        piece(),
        chunk({"functionCall": {"name": "serve", "args": {}}}),
        answer(),
    )
    assert [call.tool_name for call in facts.tool_calls] == ["cook", "serve"]
    assert json.loads(facts.tool_calls[0].arguments) == {
        "recipe": {"steps": [{"text": "boil water"}]},
        "servings": 4,
        "it is hot": True,
    }
    assert facts.tool_calls[0].t_ns == 80


def test_code_assists_wrapping_is_taken_off() -> None:
    facts = read_stream("gemini", {"response": chunk({"text": "a"}), "traceId": "t"}, {"response": answer()})
    assert (facts.text, facts.finish_reason) == ("a", "STOP")
    assert read({"response": answer({"text": "b"}), "traceId": "t"}).text == "b"
