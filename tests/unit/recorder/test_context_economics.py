"""Context through the pipeline: what is new, what was re-sent, what a missed cache hit cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_WALL_NS
from tests.traffic import MODEL, anthropic_response, both, exchange_of

SECOND_MS = 1000
SYSTEM = "a long prompt " * 500


def turn(number: int, at_ms: int, texts: list[str], usage: dict[str, int], **more: Any) -> list[Assembled]:
    """A request of an agent whose history is the texts, user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]
    body = {"model": MODEL, "system": SYSTEM, "tools": [{"name": "ls"}], "messages": messages, **more}
    request = json.dumps(body, separators=(",", ":")).encode()
    return both(exchange_of(number, request, anthropic_response("ok", **usage), at_ms=at_ms))


def usage(read: int, written: int, rest: int = 10) -> dict[str, int]:
    return {"input_tokens": rest, "cache_read_input_tokens": read, "cache_creation_input_tokens": written}


def events_of(*turns: list[Assembled]) -> list[Event]:
    items = [item for turn in turns for item in turn]
    pipeline = Pipeline(PipelineSettings())
    items.append(RunEnded(START_WALL_NS + 20_000_000 * MS))
    events: list[Event] = [event for item in items for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    return events


def run(*turns: list[Assembled]) -> tuple[list[RequestRecorded], list[ResponseRecorded], Completed]:
    events = events_of(*turns)
    [completed] = [event for event in events if isinstance(event, Completed)]
    requests = [event for event in events if isinstance(event, RequestRecorded)]
    return requests, [event for event in events if isinstance(event, ResponseRecorded)], completed


def test_a_conversation_that_goes_on_is_mostly_re_sent_and_read_from_the_cache() -> None:
    requests, responses, completed = run(
        turn(1, 0, ["a"], usage(0, 5_000)),
        turn(2, SECOND_MS, ["a", "b", "c"], usage(5_000, 200)),
    )
    first, second = (request.stats for request in requests)
    assert (first.new_bytes, first.resent_bytes, first.new_message_count) == (first.request_size_bytes, 0, 1)
    assert second.new_bytes is not None
    assert second.resent_bytes is not None
    assert second.new_bytes + second.resent_bytes == second.request_size_bytes
    assert second.new_bytes < 200 < second.resent_bytes
    assert second.new_message_count == 2
    [one, two] = [response.stats.context for response in responses]
    assert one is not None
    assert two is not None
    assert (one.new_input_tokens, one.resent_input_tokens, one.cache_read_share) == (5_010, 0, 0.0)
    assert (two.new_input_tokens, two.resent_input_tokens) == (200, 5_010)
    assert two.cache_read_share == pytest.approx(5_000 / 5_210)
    assert two.cache_miss is None
    context = completed.final_stats.context
    assert context is not None
    assert (context.new_bytes, context.resent_bytes) == (
        first.request_size_bytes + second.new_bytes,
        second.resent_bytes,
    )
    assert (context.cache_miss_count, context.cache_miss_cost_usd) == (0, 0.0)


def test_a_missed_hit_names_the_first_block_that_differs_and_its_cost() -> None:
    _, responses, completed = run(
        turn(1, 0, ["a"], usage(0, 5_000)),
        turn(2, SECOND_MS, ["a", "b", "c"], usage(0, 5_200), system="Now it is noon. " + SYSTEM),
    )
    context = responses[1].stats.context
    assert context is not None
    miss = context.cache_miss
    assert miss is not None
    assert (miss.missed_tokens, miss.reason, miss.block_kind) == (5_000, "system_changed", "text")
    assert miss.block_excerpt is not None
    assert miss.block_excerpt.startswith("Now it is noon.")
    # $1.25 per million written again, $0.10 read.
    assert miss.cost_usd == pytest.approx(5_000 * (1.25 - 0.10) / 1e6)
    sums = completed.final_stats.context
    assert sums is not None
    assert (sums.cache_miss_count, sums.cache_missed_tokens) == (1, 5_000)
    assert sums.cache_miss_cost_usd == miss.cost_usd


@pytest.mark.parametrize(
    ("changed", "reason", "excerpt"),
    [
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "rm"}}]}}, "tools_changed", '{"toolSpec":{"name":"rm"}}'),
        ({"system": [{"text": "Now it is noon."}]}, "system_changed", "Now it is noon."),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "ls"}}], "toolChoice": {"any": {}}}}, "settings_changed", ""),
    ],
)
def test_bedrocks_tools_and_system_prompt_are_compared_too(changed: dict[str, Any], reason: str, excerpt: str) -> None:
    """And its cache points, which move, are not."""
    point = {"cachePoint": {"type": "default"}}
    common = {"toolConfig": {"tools": [{"toolSpec": {"name": "ls"}}, point]}, "system": [{"text": SYSTEM}, point]}
    first, later = [{"text": "a"}], [{"text": "c"}, point]
    begun = {"messages": [{"role": "user", "content": [*first, point]}]}
    history = [{"role": "user", "content": first}, {"role": "assistant", "content": [{"text": "ok"}]}]
    gone_on = {"messages": [*history, {"role": "user", "content": later}]}
    _, responses, _ = run(
        converse(1, common | begun, read=0, written=5_000),
        converse(2, common | gone_on, read=5_000, written=100),
        converse(3, common | gone_on | changed, read=0, written=5_100),
    )
    contexts = [response.stats.context for response in responses]
    assert [context is not None and context.cache_miss is not None for context in contexts] == [False, False, True]
    assert contexts[2] is not None
    miss = contexts[2].cache_miss
    assert miss is not None
    assert (miss.reason, miss.missed_tokens, miss.block_excerpt or "") == (reason, 5_100, excerpt)


def converse(number: int, body: dict[str, Any], *, read: int, written: int) -> list[Assembled]:
    usage = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": read, "cacheWriteInputTokens": written}
    answer = {"output": {"message": {"role": "assistant", "content": [{"text": "ok"}]}}, "usage": usage}
    return both(
        exchange_of(
            number,
            json.dumps(body, separators=(",", ":")).encode(),
            json.dumps(answer | {"stopReason": "end_turn"}).encode(),
            at_ms=number * SECOND_MS,
            provider="bedrock",
            path="/model/anthropic.claude-haiku-4-5/converse",
        )
    )


def test_an_expired_cache_is_no_fault_of_the_prompt() -> None:
    _, responses, _ = run(
        turn(1, 0, ["a"], usage(0, 5_000)),
        turn(2, 400 * SECOND_MS, ["a", "b", "c"], usage(0, 5_200)),
    )
    context = responses[1].stats.context
    assert context is not None
    assert context.cache_miss is not None
    assert (context.cache_miss.reason, context.cache_miss.message_index) == ("expired", None)
    assert context.cache_miss.idle_s == pytest.approx(399.8)


def test_an_edited_history_differs_in_a_message() -> None:
    _, responses, _ = run(
        turn(1, 0, ["a", "b", "c"], usage(0, 5_000)),
        turn(2, SECOND_MS, ["a", "B!", "c", "d", "e"], usage(2_000, 3_200)),
    )
    context = responses[1].stats.context
    assert context is not None
    assert context.new_input_tokens is None
    miss = context.cache_miss
    assert miss is not None
    assert (miss.missed_tokens, miss.reason) == (3_000, "history_changed")
    assert (miss.message_index, miss.block_kind, miss.block_excerpt) == (1, "text", "B!")


def test_a_retry_is_measured_against_what_was_answered() -> None:
    """A failed request sent its bytes, but left nothing in the cache."""
    failed = exchange_of(
        2,
        turn_body(["a", "b", "c"]),
        b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}',
        at_ms=SECOND_MS,
        status=529,
    )
    requests, responses, _ = run(
        turn(1, 0, ["a"], usage(0, 5_000)),
        both(failed),
        turn(3, 2 * SECOND_MS, ["a", "b", "c"], usage(5_000, 200)),
    )
    assert [request.stats.new_message_count for request in requests] == [1, 2, 0]
    assert requests[2].retry_of == requests[1].request_id
    assert responses[1].stats.context is None
    last = responses[2].stats.context
    assert last is not None
    assert (last.new_input_tokens, last.cache_miss) == (200, None)


def turn_body(texts: list[str]) -> bytes:
    [received, _] = turn(0, 0, texts, usage(0, 0))
    assert not isinstance(received, RunEnded)
    return received.exchange.request_body  # type: ignore[union-attr]
