"""Exchanges and calls as spans, by the conventions."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.events.semconv import Version
from lunaroute.events.spans import Span, exchange_span, span_context, tool_span
from lunaroute.events.types import Identity, RequestRecorded, ResponseRecorded, ToolCallRecorded
from tests.builders import Call, SessionScript, tokens

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def turn(**more: Any) -> tuple[RequestRecorded, ResponseRecorded]:
    _, request, response, *_ = SessionScript("a").turn(**more).events
    assert isinstance(request, RequestRecorded)
    assert isinstance(response, ResponseRecorded)
    return request, response


def span_of(change: dict[str, Any] | None = None, version: Version = "v1.41", **more: Any) -> Span:
    request, response = turn(**more)
    return exchange_span(msgspec.structs.replace(request, **(change or {})), response, version)


def test_an_exchange_is_a_client_span_with_what_the_provider_said() -> None:
    used = tokens(100, 20, 5, cache_read_tokens=60, cache_creation_tokens=10)
    body = (
        b'{"max_tokens":50,"temperature":1,"top_p":"odd","top_k":40,"seed":true,"stop_sequences":["x"],"messages":[]}'
    )
    span = span_of(tokens=used, cost_usd=0.25, request_json=body, latency_ms=400)
    assert (span.name, span.kind, span.error) == ("chat claude-sonnet-4-5", "client", None)
    assert span.end_ns - span.start_ns == 1_000_000_000
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.response.model": "claude-sonnet-4-5-20250929",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.response.time_to_first_chunk": 0.1,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "lunaroute.outcome": "completed",
        "lunaroute.cost.usd": 0.25,
    }
    assert expected.items() <= span.attributes.items()
    odd = {"gen_ai.request.top_p", "gen_ai.request.seed", "gen_ai.conversation.id", "error.type"}
    assert odd & span.attributes.keys() == set()
    assert not any("messages" in name for name in span.attributes)


def test_the_latest_names_are_given_where_they_are_asked_for() -> None:
    attributes = span_of(version="latest", tokens=tokens(9, 1, cache_creation_tokens=4)).attributes
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 4
    assert "gen_ai.usage.cache_creation.input_tokens" not in attributes


def test_a_failure_is_an_error() -> None:
    span = span_of(outcome="http_error", error="too much")
    assert span.error == "too much"
    assert span.attributes["error.type"] == "overloaded_error"
    assert span.attributes["gen_ai.response.finish_reasons"] == ["error"]


@pytest.mark.parametrize(
    ("rule", "evidence", "given_id"),
    [
        ("client_header", "session-id=abc", "abc"),
        ("body_field", "prompt_cache_key=a=b", "a=b"),
        ("session_tag", "session_tag=night", "night"),
        ("prefix", "messages=3", None),
        ("new", None, None),
    ],
)
def test_a_conversation_has_an_id_only_where_the_client_gave_one(
    rule: str, evidence: str | None, given_id: str | None
) -> None:
    span = span_of({"identity": Identity(rule=rule, evidence=evidence)})
    assert span.attributes.get("gen_ai.conversation.id") == given_id


def test_a_trace_of_the_clients_is_gone_on_with() -> None:
    span = span_of({"request_headers": [("Traceparent", f"00-{TRACE}-{PARENT}-01")]})
    assert (span.trace_id, span.parent_span_id) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
    ],
)
def test_what_is_no_traceparent_makes_the_session_a_trace(value: str) -> None:
    request, _ = turn()
    span = span_of({"request_headers": [("traceparent", value)]})
    assert span.trace_id == hashlib.sha256(request.session_id.encode()).hexdigest()[:32]
    assert span.parent_span_id is None


@given(st.text())
def test_any_traceparent_gives_a_valid_context(value: str) -> None:
    request, _ = turn()
    context = span_context(msgspec.structs.replace(request, request_headers=[("traceparent", value)]))
    assert len(bytes.fromhex(context.trace_id)) == 16


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"target": "/v1/embeddings", "dialect": "unknown"}, "embeddings claude-sonnet-4-5"),
        ({"target": "/v1/completions?x=1", "dialect": "unknown"}, "text_completion claude-sonnet-4-5"),
        ({"target": "/v1/chat/completions", "dialect": "openai_chat"}, "chat claude-sonnet-4-5"),
        ({"target": "/v1beta/models/m:generateContent", "dialect": "gemini"}, "generate_content claude-sonnet-4-5"),
        ({"target": "/v1/messages/count_tokens?beta=true"}, "POST /v1/messages/count_tokens"),
        ({"target": "/v1/models", "method": "GET", "model_requested": None}, "GET /v1/models"),
    ],
)
def test_what_is_no_call_of_a_model_is_none(change: dict[str, Any], name: str) -> None:
    span = span_of(change)
    assert span.name == name
    assert ("gen_ai.operation.name" in span.attributes) is not name.startswith(("GET", "POST"))


def test_what_was_said_is_there_only_where_it_is_asked_for() -> None:
    call = Call("Read", "call_1", '{"path":"a"}')
    request, response = turn(user="read a", assistant="reading", calls=[call])
    attributes = exchange_span(request, response, "latest", has_content=True).attributes
    assert msgspec.json.decode(str(attributes["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "read a"}]}
    ]
    (answer,) = msgspec.json.decode(str(attributes["gen_ai.output.messages"]))
    assert answer["finish_reason"] == "end_turn"
    assert answer["parts"] == [
        {"type": "text", "content": "reading"},
        {"type": "tool_call", "id": "call_1", "name": "Read", "arguments": {"path": "a"}},
    ]


def test_a_call_is_a_span_below_the_exchange_that_asked() -> None:
    call = Call("Read", "call_1", '{"path":"a"}')
    _, request, _, result = SessionScript("a").turn(calls=[call]).result(call, "gone", success=False).events
    assert isinstance(request, RequestRecorded)
    assert isinstance(result, ToolCallRecorded)
    context = span_context(request)
    span = tool_span(result, context)
    assert (span.name, span.kind, span.trace_id) == ("execute_tool Read", "internal", context.trace_id)
    assert span.parent_span_id == context.span_id
    assert span.end_ns - span.start_ns == 20_000_000
    assert (span.error, span.attributes["error.type"]) == ("gone", "tool_error")
    assert "gen_ai.tool.call.result" not in span.attributes
    assert tool_span(result, context, has_content=True).attributes["gen_ai.tool.call.result"] == "gone"
