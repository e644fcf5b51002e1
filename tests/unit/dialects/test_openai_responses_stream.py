from __future__ import annotations

from typing import Any

import pytest

from lunaroute.dialects.facts import Billing, ProviderError
from tests.unit.dialects.streams import message_of, read_stream, times

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}"} | fields


def response(kind: str, status: str, output: list[Any], **fields: Any) -> dict[str, Any]:
    whole = {"id": "resp_1", "object": "response", "model": "gpt-x", "status": status, "output": output} | fields
    return event(kind, response=whole)


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text}], "role": "assistant"}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"a":1}'}
CREATED = response("created", "in_progress", [])
STREAM = [
    CREATED,
    response("in_progress", "in_progress", []),
    event("output_item.added", output_index=0, item={"type": "message", "id": "msg_1", "content": []}),
    event("content_part.added", output_index=0, content_index=0, part={"type": "output_text", "text": ""}),
    event("output_text.delta", output_index=0, content_index=0, delta="He"),
    event("output_text.delta", output_index=0, content_index=0, delta="llo"),
    event("output_item.done", output_index=0, item=message("Hello")),
    event("output_item.added", output_index=1, item=CALL | {"arguments": ""}),
    event("function_call_arguments.delta", output_index=1, delta='{"a":'),
    event("function_call_arguments.delta", output_index=1, delta="1}"),
    event("function_call_arguments.done", output_index=1, arguments='{"a":1}'),
    event("output_item.done", output_index=1, item=CALL),
]
MILESTONES = [
    ("block_start", 30, "message"),
    ("first_token", 50, None),
    ("block_stop", 70, "message"),
    ("block_start", 80, "function_call"),
    ("block_stop", 120, "function_call"),
]


@pytest.mark.parametrize("output", [[message("Hello"), CALL], []])
@pytest.mark.parametrize("is_named", [True, False])
def test_the_response_is_whole_even_if_its_last_event_leaves_the_output_out(output: list[Any], is_named: bool) -> None:
    completed = response("completed", "completed", output, usage=USAGE)

    facts = read_stream("openai_responses", *STREAM, completed, is_named=is_named)

    assert message_of(facts)["output"] == [message("Hello"), CALL]
    assert (facts.text, facts.response_id, facts.model) == ("Hello", "resp_1", "gpt-x")
    assert (facts.finish_reason, facts.is_finished) == ("completed", True)
    (call,) = facts.tool_calls
    assert (call.tool_call_id, call.tool_name, call.arguments, call.t_ns) == ("call_1", "look", '{"a":1}', 120)
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.cache_read_tokens) == (9, 4)
    assert (facts.usage.output_tokens, facts.usage.thinking_tokens) == (6, 2)
    assert times(facts) == [*MILESTONES, ("completion", 130, "completed")]
    assert facts.unknown_events == {}


@pytest.mark.parametrize(
    ("length", "text", "arguments"),
    [(5, "He", []), (6, "Hello", []), (9, "Hello", ['{"a":']), (12, "Hello", ['{"a":1}'])],
)
def test_a_cut_stream_keeps_what_had_arrived(length: int, text: str, arguments: list[str]) -> None:
    facts = read_stream("openai_responses", *STREAM[:length])

    assert (facts.text, [call.arguments for call in facts.tool_calls]) == (text, arguments)
    assert (facts.response_id, facts.finish_reason, facts.is_finished) == ("resp_1", None, False)
    assert times(facts) == [entry for entry in MILESTONES if entry[1] <= length * 10]


def test_reasoning_and_refusal_deltas_of_a_cut_stream_are_kept() -> None:
    facts = read_stream(
        "openai_responses",
        CREATED,
        event("output_item.added", output_index=0, item={"type": "reasoning", "id": "rs", "summary": []}),
        event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="one"),
        event("reasoning_summary_text.delta", output_index=0, summary_index=1, delta="two"),
        event("output_item.added", output_index=1, item={"type": "message", "id": "m", "content": []}),
        event("refusal.delta", output_index=1, content_index=0, delta="no"),
    )

    assert facts.thinking_text == "one\ntwo"
    assert (facts.has_refusal, facts.text) == (True, "no")


def test_an_incomplete_response_says_why() -> None:
    details = {"reason": "max_output_tokens"}
    facts = read_stream(
        "openai_responses", CREATED, response("incomplete", "incomplete", [message("a")], incomplete_details=details)
    )

    assert facts.finish_reason == "incomplete:max_output_tokens"


def test_a_failed_response_and_an_error_event_are_errors() -> None:
    error = {"code": "server_error", "message": "sorry"}
    failed = read_stream("openai_responses", CREATED, response("failed", "failed", [], error=error, usage=None))
    plain = read_stream("openai_responses", CREATED, {"type": "error", "code": "rate_limit", "message": "slow down"})
    nested = read_stream("openai_responses", {"type": "error", "error": {"type": "t", "message": "m"}})

    assert failed.error == ProviderError(type="server_error", message="sorry")
    assert failed.usage is None
    assert plain.error == ProviderError(type="rate_limit", message="slow down")
    assert times(plain) == [("error", 20, "slow down")]
    assert nested.error == ProviderError(type="t", message="m")


def test_calls_are_the_clients_or_the_providers_by_who_executes_them() -> None:
    shell = {"type": "shell_call", "id": "sh1", "call_id": "s1", "action": {"commands": ["ls"]}}
    output = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "free text"},
        {"type": "local_shell_call", "call_id": "l1", "action": {"command": ["ls"]}},
        shell,
        shell | {"call_id": "s2", "environment": {"type": "container_reference"}},
        {"type": "tool_search_call", "call_id": "t1", "execution": "client", "arguments": {}},
        {"type": "tool_search_call", "id": "t2", "execution": "server", "arguments": {}},
        {"type": "web_search_call", "id": "w1", "action": {"query": "x"}},
        {"type": "mcp_call", "id": "m1", "name": "ask", "arguments": "{}"},
    ]
    facts = read_stream("openai_responses", CREATED, response("completed", "completed", output))

    assert [call.tool_call_id for call in facts.tool_calls] == ["c1", "l1", "s1", "t1"]
    assert facts.tool_calls[0].arguments == "free text"
    assert [call.tool_call_id for call in facts.server_tool_calls] == ["s2", "t2", "w1", "m1"]
    named = facts.server_tool_calls[-1]
    assert (named.tool_name, named.call_type, named.item_id) == ("ask", "mcp_call", None)
    assert (facts.tool_calls[2].call_type, facts.tool_calls[2].item_id) == ("shell_call", "sh1")


def test_unknown_events_and_items_are_kept_and_counted() -> None:
    facts = read_stream(
        "openai_responses",
        CREATED,
        event("hologram.delta", delta="x"),
        "nonsense",
        response("completed", "completed", [{"type": "hologram", "x": 1}]),
        "[DONE]",
    )

    assert facts.unknown_events == {"response.hologram.delta": 1, "hologram": 1, "not a JSON object": 1}
    assert message_of(facts)["output"] == [{"type": "hologram", "x": 1}]


def test_only_searches_are_billed_of_what_a_web_search_does() -> None:
    output = [
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "q"}},
        {"type": "web_search_call", "id": "ws_2", "action": {"type": "open_page", "url": "u"}},
        {"type": "web_search_call", "id": "ws_3"},
        {"type": "file_search_call", "id": "fs_1", "queries": ["q"]},
    ]
    response = {"id": "r", "status": "completed", "service_tier": "flex", "output": output}
    facts = read_stream("openai_responses", {"type": "response.completed", "response": response})

    assert facts.billing == Billing(service_tier="flex", web_searches=2, file_searches=1)


@pytest.mark.parametrize("index", [-1, 7, 2**62])
def test_a_delta_at_an_impossible_place_is_kept(index: int) -> None:
    delta = event("output_text.delta", output_index=0, content_index=index, delta="He")
    assert read_stream("openai_responses", CREATED, delta).text == "He"
