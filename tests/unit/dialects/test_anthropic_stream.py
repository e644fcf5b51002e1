from __future__ import annotations

from typing import Any

import pytest

from lunaroute.dialects.facts import Billing, ProviderError, SideUsage
from tests.unit.dialects.streams import message_of, read_stream, times

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 1,
        },
    },
}
STOP = {"type": "message_stop"}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | fields}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def message_delta(stop_reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": usage}


def test_a_stream_becomes_the_message_a_plain_call_returns() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        {"type": "ping"},
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "thinking_delta", thinking="m"),
        delta(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, type="text", text=""),
        delta(1, "text_delta", text='Hi "'),
        delta(1, "text_delta", text="there\\\n"),
        delta(1, "text_delta", text="é😀"),
        end(1),
        begin(2, type="tool_use", id="toolu_1", name="look", input={}),
        delta(2, "input_json_delta", partial_json=""),
        delta(2, "input_json_delta", partial_json='{"pa'),
        delta(2, "input_json_delta", partial_json='th": "/"}'),
        end(2),
        message_delta("tool_use", output_tokens=42, input_tokens=None),
        STOP,
    )

    message = message_of(facts)
    assert message["content"] == [
        {"type": "thinking", "thinking": "hmm", "signature": "c2ln"},
        {"type": "text", "text": 'Hi "there\\\né😀'},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"path": "/"}},
    ]
    assert (message["stop_reason"], message["id"], message["role"]) == ("tool_use", "msg_1", "assistant")
    assert message["usage"]["output_tokens"] == 42
    assert (facts.response_id, facts.model, facts.finish_reason) == ("msg_1", "claude-x", "tool_use")
    assert (facts.text, facts.thinking_text) == ('Hi "there\\\né😀', "hmm")
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (18, 42)
    (call,) = facts.tool_calls
    assert (call.tool_call_id, call.tool_name, call.arguments) == ("toolu_1", "look", '{"path": "/"}')
    assert (call.input_size_bytes, call.t_ns) == (13, 170)
    assert times(facts) == [
        ("block_start", 30, "thinking"),
        ("first_token", 40, None),
        ("block_stop", 70, "thinking"),
        ("block_start", 80, "text"),
        ("block_stop", 120, "text"),
        ("block_start", 130, "tool_use"),
        ("block_stop", 170, "tool_use"),
        ("completion", 190, "tool_use"),
    ]
    assert facts.is_finished
    assert facts.unknown_events == {}
    assert facts.error is None


def test_a_cut_stream_keeps_partial_text_and_partial_tool_input() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        begin(0, type="text", text=""),
        delta(0, "text_delta", text="partly"),
        begin(1, type="tool_use", id="toolu_1", name="look", input={}),
        delta(1, "input_json_delta", partial_json='{"path": "/ho'),
    )

    assert not facts.is_finished
    assert facts.finish_reason is None
    assert facts.text == "partly"
    assert message_of(facts)["content"][1]["input"] == '{"path": "/ho'
    assert facts.tool_calls[0].arguments == '{"path": "/ho'
    assert facts.tool_calls[0].t_ns is None


def test_a_block_may_come_whole_without_deltas() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        begin(0, type="tool_use", id="t", name="n", input={"a": 1}),
        end(0),
        message_delta(output_tokens=1),
        STOP,
    )

    assert facts.tool_calls[0].arguments == '{"a":1}'


def test_message_delta_usage_is_cumulative_and_overrides_field_by_field() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        message_delta(None, output_tokens=3),
        message_delta(output_tokens=7, input_tokens=20, output_tokens_details={"thinking_tokens": 4}),
        STOP,
    )

    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (28, 7)
    assert (facts.usage.cache_read_tokens, facts.usage.cache_creation_tokens) == (5, 3)
    assert facts.usage.thinking_tokens == 4


def test_an_error_event_is_the_error_and_keeps_what_came_before() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    facts = read_stream(
        "anthropic_messages", START, begin(0, type="text", text=""), delta(0, "text_delta", text="a"), error
    )

    assert facts.error == ProviderError(type="overloaded_error", message="Overloaded")
    assert facts.text == "a"
    assert not facts.is_finished
    assert times(facts)[-1] == ("error", 40, "Overloaded")


def test_server_tools_are_no_client_calls_and_citations_join_their_texts() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        begin(0, type="server_tool_use", id="srv_1", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":"x"}'),
        end(0),
        begin(1, type="web_search_tool_result", tool_use_id="srv_1", content=[]),
        end(1),
        begin(2, type="text", text=""),
        delta(2, "text_delta", text="one "),
        end(2),
        begin(3, type="text", text="", citations=[]),
        delta(3, "citations_delta", citation={"url": "u"}),
        delta(3, "text_delta", text="text"),
        end(3),
        message_delta(output_tokens=1),
        STOP,
    )

    assert facts.tool_calls == []
    assert [(call.tool_name, call.arguments) for call in facts.server_tool_calls] == [("web_search", '{"query":"x"}')]
    assert facts.text == "one text"
    assert facts.content_blocks == ["server_tool_use", "web_search_tool_result", "text", "text"]
    assert message_of(facts)["content"][3]["citations"] == [{"url": "u"}]


def test_unknown_events_blocks_and_deltas_are_kept_and_counted() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        {"type": "novelty", "x": 1},
        begin(0, type="hologram", data="a"),
        delta(0, "hologram_delta", data="b"),
        end(0),
        "not json",
        message_delta(output_tokens=1),
        STOP,
    )

    assert facts.unknown_events == {"novelty": 1, "hologram": 1, "hologram_delta": 1, "not a JSON object": 1}
    assert message_of(facts)["content"] == [{"type": "hologram", "data": "ab"}]


def test_events_without_names_are_read_by_their_data() -> None:
    facts = read_stream(
        "anthropic_messages",
        START,
        begin(0, type="text", text=""),
        delta(0, "text_delta", text="a"),
        end(0),
        message_delta(output_tokens=2),
        STOP,
        is_named=False,
    )

    assert (facts.text, facts.is_finished) == ("a", True)


def test_an_emoji_cut_in_two_deltas_is_whole_again() -> None:
    def raw(piece: str) -> str:
        head = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
        return head + piece + '"}}'

    facts = read_stream(
        "anthropic_messages", START, begin(0, type="text", text=""), raw("a\\ud83d"), raw("\\ude00b"), raw("\\ud83d")
    )

    assert facts.text == "a😀b\ufffd"


def test_refusal_is_told_by_the_stop_reason() -> None:
    assert read_stream("anthropic_messages", START, message_delta("refusal"), STOP).has_refusal


def test_passes_billed_beside_the_top_level_usage_are_listed_apart() -> None:
    iterations = [
        {"type": "compaction", "input_tokens": 99195, "output_tokens": 81, "cache_read_input_tokens": 5},
        {"type": "advisor_message", "model": "claude-big", "input_tokens": 2518, "output_tokens": 22},
        {"type": "message", "input_tokens": 10, "output_tokens": 11},
    ]
    facts = read_stream("anthropic_messages", START, message_delta(output_tokens=11, iterations=iterations), STOP)

    assert facts.usage is not None
    assert facts.usage.output_tokens == 11
    assert facts.billing.side_usages == [
        SideUsage(kind="compaction", input_tokens=99200, output_tokens=81, cache_read_tokens=5),
        SideUsage(kind="advisor_message", model="claude-big", input_tokens=2518, output_tokens=22),
    ]


def test_a_model_that_declined_is_billed_as_far_as_it_had_begun_to_answer() -> None:
    """Top-level counts are the fallback's; what it did in several passes is in them already."""
    declined = {"type": "message", "model": "claude-fable-5", "input_tokens": 30, "output_tokens": 7}
    iterations = [
        declined,
        declined | {"output_tokens": 0},
        {"type": "message", "model": "claude-opus-4-8", "input_tokens": 40, "output_tokens": 9},
        {"type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 50, "output_tokens": 11},
    ]
    facts = read_stream("anthropic_messages", START, message_delta(output_tokens=11, iterations=iterations), STOP)

    assert facts.billing.side_usages == [
        SideUsage(kind="message", model="claude-fable-5", input_tokens=30, output_tokens=7)
    ]


def test_what_the_usage_says_beside_the_counts() -> None:
    usage = {
        "output_tokens": 4,
        "service_tier": "batch",
        "speed": "fast",
        "inference_geo": "us",
        "server_tool_use": {"web_search_requests": 2},
    }
    billing = read_stream("anthropic_messages", START, message_delta(**usage), STOP).billing
    assert billing == Billing(service_tier="batch", speed="fast", inference_geo="us", web_searches=2)


@pytest.mark.parametrize(("output_tokens", "is_free"), [(0, True), (3, False)])
def test_a_refusal_before_any_output_is_not_billed(output_tokens: int, is_free: bool) -> None:
    facts = read_stream("anthropic_messages", START, message_delta("refusal", output_tokens=output_tokens), STOP)
    assert facts.billing.is_free is is_free
