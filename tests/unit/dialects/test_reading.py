from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import framing_of, read_response_body
from lunaroute.dialects.facts import Dialect, ProviderError, ResponseFacts, Usage
from tests.unit.dialects.streams import message_of

DIALECTS: list[Dialect] = ["anthropic_messages", "openai_chat", "openai_responses", "gemini", "unknown"]
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def read(dialect: Dialect, body: Any, status_code: int = 200, content_type: str = "application/json") -> ResponseFacts:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_response_body(dialect, [(1, data)], content_type, status_code)


@pytest.mark.parametrize(
    ("body", "content_type", "is_stream"),
    [
        (b"data: {}", "text/event-stream; charset=utf-8", True),
        (b"data: {}", None, True),
        (b"\n: KEEP-ALIVE\n\ndata: {}", "application/json", True),
        (b"\xef\xbb\xbfevent: x\n", "text/plain", True),
        (b'{"error": 1}', "text/event-stream", False),
        (b'  \n\n [{"error": 1}]', "text/event-stream", False),
        (b"", "text/event-stream", True),
        (b"", "application/json", False),
        (b"<html>", "text/html", False),
    ],
)
def test_the_bytes_decide_whether_a_body_is_a_stream_and_the_type_where_they_cannot(
    body: bytes, content_type: str | None, is_stream: bool
) -> None:
    for reads in ([(1, body)], [(1, body[i : i + 1]) for i in range(len(body))]):
        assert (framing_of("openai_chat", reads, content_type) == "server_sent_events") is is_stream


def test_an_anthropic_message() -> None:
    body = {
        "id": "msg_1",
        "type": "message",
        "model": "claude-x",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 1.0}},
            {"type": "mcp_tool_use", "id": "m1", "name": "g", "input": {}},
            {"type": "text", "text": "c"},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
            "output_tokens": 4,
        },
    }
    facts = read("anthropic_messages", body)

    assert facts.text == "ab\nc"
    assert [(call.tool_call_id, call.arguments) for call in facts.tool_calls] == [("t1", '{"n": 1.0}')]
    assert [call.tool_call_id for call in facts.server_tool_calls] == ["m1"]
    assert facts.usage == Usage(
        input_tokens=321,
        output_tokens=4,
        cache_read_tokens=300,
        cache_creation_tokens=20,
        cache_creation_5m_tokens=15,
        cache_creation_1h_tokens=5,
        raw=body["usage"],
    )
    assert message_of(facts) == body


def test_padding_before_the_json_is_ignored() -> None:
    facts = read("openai_chat", b"\n \n" * 50 + b'{"id":"x","choices":[]}\n')

    assert facts.response_id == "x"
    assert message_of(facts) == {"id": "x", "choices": []}


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # (input, output, thinking, cache read)
        ({"prompt_tokens": 9, "completion_tokens": 5}, (9, 5, None, None)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": None}, (9, 5, None, None)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4}, (9, 5, None, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 0}, (9, 5, None, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 2, "total_tokens": 14}, (9, 5, 2, None)),
        # xAI: reasoning beside the output, told by the total
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 303,
                "completion_tokens_details": {"reasoning_tokens": 290},
            },
            (12, 291, 290, None),
        ),
        # contradicting parts stay as reported
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 3,
                "total_tokens": 8,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (5, 3, 7, None),
        ),
        # Mistral: audio beside the input
        (
            {
                "prompt_tokens": 11,
                "completion_tokens": 15,
                "total_tokens": 401,
                "prompt_tokens_details": {"audio_tokens": 375},
            },
            (386, 15, None, None),
        ),
        # hidden thinking is not guessed
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, (35, 12, None, None)),
        ({"prompt_tokens": 2.0, "completion_tokens": "5", "total_tokens": True}, (2, None, None, None)),
    ],
)
def test_chat_usage_by_the_inclusive_rule(usage: dict[str, Any], counts: tuple[int | None, ...]) -> None:
    found = read("openai_chat", {"usage": usage}).usage

    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.thinking_tokens, found.cache_read_tokens) == counts
    assert found.raw == usage


@pytest.mark.parametrize("usage", [None, {}, [], 3])
@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses"])
def test_no_usage_is_unknown_and_not_zero(dialect: Dialect, usage: Any) -> None:
    assert read(dialect, {"id": "x", "usage": usage}).usage is None


def test_all_choices_contribute_their_tool_calls() -> None:
    def choice(index: int) -> dict[str, Any]:
        function = {"name": "f", "arguments": {"i": index}}
        message = {"content": None, "tool_calls": [{"id": f"c{index}", "type": "function", "function": function}]}
        return {"index": index, "message": message, "finish_reason": "stop"}

    facts = read("openai_chat", {"choices": [choice(0), choice(1)]})

    assert [(call.tool_call_id, call.arguments) for call in facts.tool_calls] == [("c0", '{"i":0}'), ("c1", '{"i":1}')]


@pytest.mark.parametrize("dialect", DIALECTS[:3])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"type": "error", "error": {"type": "t", "message": "m"}}, ProviderError(type="t", message="m")),
        ({"error": {"code": 404, "message": "m"}}, ProviderError(type="404", message="m", status_code=404)),
        ({"error": {"code": "filtered", "status": 400}}, ProviderError(type="filtered", message=None, status_code=400)),
        ({"code": "c", "error": "m"}, ProviderError(type="c", message="m")),
        ([{"error": {"status": "INVALID", "message": "m"}}], ProviderError(type="INVALID", message="m")),
        ({"message": "m"}, ProviderError(type=None, message="m")),
        ({"detail": [{"loc": 1}]}, ProviderError(type=None, message='[{"loc":1}]')),
        (b"<html>502</html>", ProviderError(type=None, message="<html>502</html>")),
        (b"", ProviderError(type=None, message=None)),
    ],
)
def test_error_bodies_of_all_shapes(dialect: Dialect, body: Any, error: ProviderError) -> None:
    facts = read(dialect, body, status_code=500)

    assert facts.error == error
    assert (facts.message is None) == isinstance(body, bytes)


@pytest.mark.parametrize("dialect", DIALECTS[:3])
def test_an_error_inside_a_200_is_an_error(dialect: Dialect) -> None:
    body = {"error": {"message": "filtered", "type": None, "code": "content_filter"}}

    for content_type in ("application/json", "text/event-stream"):
        facts = read(dialect, body, content_type=content_type)
        assert facts.error == ProviderError(type="content_filter", message="filtered")


@every_dialect
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", ""])
@pytest.mark.parametrize("body", [b"", b"null", b"3", b"[3]", b"{", b"\x00\xff", b"[" * 5000, b"data: [" + b"[" * 5000])
def test_odd_bodies_are_read_without_an_error_of_ours(dialect: Dialect, content_type: str, body: bytes) -> None:
    facts = read(dialect, body, content_type=content_type)

    assert (facts.text, facts.usage, facts.tool_calls) == ("", None, [])


def test_an_empty_stream_is_not_finished() -> None:
    for dialect in DIALECTS[:3]:
        assert not read(dialect, b"", content_type="text/event-stream").is_finished


def test_the_unknown_dialect_keeps_the_body_and_derives_nothing() -> None:
    body = {"model": "m", "usage": {"input_tokens": 1}}

    assert read("unknown", body) == ResponseFacts(message=read("unknown", body).message)
    assert message_of(read("unknown", body)) == body
    assert read("unknown", {"error": {"message": "m"}}, 400).error == ProviderError(type=None, message="m")
