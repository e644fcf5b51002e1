from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import framing_of, read_response_body, reader_for
from lunaroute.dialects.facts import ResponseFacts
from tests.unit.dialects.streams import message_of

CALL = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
COUNTS = {"prompt_eval_count": 11, "eval_count": 7, "total_duration": 5}


def line(done: bool = False, **fields: Any) -> dict[str, Any]:
    return {"model": "qwen3:4b", "created_at": "2026-08-17T08:22:53Z", **fields, "done": done}


def read_lines(*lines: Any, content_type: str | None = "application/x-ndjson") -> ResponseFacts:
    chunks = [(number * 10, json.dumps(one).encode() + b"\n") for number, one in enumerate(lines, 1)]
    return read_response_body("ollama", chunks, content_type, 200)


@pytest.mark.parametrize(
    ("body", "is_streaming"),
    [({}, True), ({"stream": True}, True), ({"stream": False}, False), ({"input": "a"}, False)],
)
def test_a_chat_streams_unless_it_is_told_not_to(body: dict[str, Any], is_streaming: bool) -> None:
    assert reader_for("ollama").read_request(json.dumps(body).encode()).is_streaming is is_streaming


def test_requests_of_chat_generate_and_embed() -> None:
    read = reader_for("ollama").read_request
    chat = read(
        b'{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}],"tools":[{}]}'
    )
    assert (chat.model, chat.request_text, chat.message_count, chat.tool_count) == ("m", "hi", 2, 1)
    assert chat.has_system_prompt
    generate = read(b'{"model":"m","prompt":"Why?","system":"s"}')
    assert (generate.request_text, generate.has_system_prompt) == ("Why?", True)
    assert read(b'{"model":"m","input":["a","b"]}').request_text == "a\nb"


def test_a_whole_answer() -> None:
    message = {"role": "assistant", "content": "hi", "thinking": "hm", "tool_calls": [CALL | {"id": "call_1"}]}
    body = line(done=True, message=message, done_reason="stop", **COUNTS)
    facts = read_response_body("ollama", [(1, json.dumps(body).encode())], "application/json", 200)

    assert (facts.text, facts.thinking_text, facts.finish_reason, facts.model) == ("hi", "hm", "stop", "qwen3:4b")
    assert [(c.tool_name, c.tool_call_id, c.arguments) for c in facts.tool_calls] == [
        ("get_weather", "call_1", '{"city":"Rome"}')
    ]
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.usage.raw) == (11, 7, COUNTS)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", None])
def test_lines_are_folded_into_the_answer(content_type: str | None) -> None:
    facts = read_lines(
        line(message={"role": "assistant", "content": "", "thinking": "h"}),
        line(message={"role": "assistant", "content": "", "thinking": "m"}),
        line(message={"role": "assistant", "content": "Hel"}),
        line(message={"role": "assistant", "content": "lo"}),
        line(message={"role": "assistant", "content": "", "tool_calls": [CALL]}),
        line(done=True, message={"role": "assistant", "content": ""}, done_reason="stop", **COUNTS),
        content_type=content_type,
    )
    assert (facts.text, facts.thinking_text, facts.finish_reason) == ("Hello", "hm", "stop")
    assert facts.is_finished
    assert facts.tool_calls[0].t_ns == 50
    assert facts.usage is not None
    assert facts.usage.output_tokens == 7
    assert message_of(facts)["message"]["content"] == "Hello"
    assert [m.content for m in facts.milestones if m.event_type == "block_start"] == ["thinking", "text", "tool_call"]


def test_generate_streams_its_response() -> None:
    facts = read_lines(line(response="a"), line(response="b"), line(done=True, response="", done_reason="length"))
    assert (facts.text, facts.finish_reason) == ("ab", "length")


def test_an_error_in_the_middle_and_a_cut() -> None:
    facts = read_lines(line(message={"content": "a"}), {"error": "out of memory"})
    assert facts.error is not None
    assert (facts.text, facts.error.message, facts.is_finished) == ("a", "out of memory", False)


def test_an_error_status_is_read_as_a_whole_under_any_type() -> None:
    body = b'{"error":"model not found"}'
    assert framing_of("ollama", [(1, body)], "application/x-ndjson", 404) == "whole"
    facts = read_response_body("ollama", [(1, body)], "application/x-ndjson", 404)
    assert facts.error is not None
    assert facts.error.message == "model not found"
