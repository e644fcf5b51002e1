"""Real Claude Code sessions, request by request: one session each, every tool call once, and the figures of context and
cache as they are worked out here from the bodies alone.

By default the long sessions are cut short; LUNAROUTE_WHOLE_SESSIONS=1 (`make test-sessions`) takes all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lunaroute.assemble.exchange import RunEnded
from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline, PipelineSettings
from tests.corpus import corpus_dir, find_corpus
from tests.exchanges import MS, START_WALL_NS, ExchangeScript

_DAY_NS = 86_400 * 1_000_000_000
_TOOK_MS = 500
_SHORT = 40
"""Calls of a session that the default run takes."""
_IS_WHOLE = os.environ.get("LUNAROUTE_WHOLE_SESSIONS") == "1"
_LEAST_TOKENS = 1024


def _names() -> list[str]:
    folder = find_corpus()
    return [] if folder is None else sorted(path.name for path in (folder / "sessions").glob("cc-*"))


class Call:
    """One API call of a session: the request as sent, compact, and its answer."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.request: dict[str, Any] = fields["request"]
        self.response: dict[str, Any] = fields["response"]
        self.at_ms = round(datetime.fromisoformat(fields["timestamp"]).timestamp() * 1000)
        self.body = _compact(self.request)
        usage = self.response["usage"]
        self.read: int = usage.get("cache_read_input_tokens") or 0
        self.written: int = usage.get("cache_creation_input_tokens") or 0
        self.input_tokens: int = usage["input_tokens"] + self.read + self.written
        self.blocks = [_blocks(message) for message in self.request["messages"]]


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _blocks(message: dict[str, Any]) -> list[str]:
    """What a cache sees of a message: no markers, a string as a block of text."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [json.dumps({k: v for k, v in block.items() if k != "cache_control"}, sort_keys=True) for block in blocks]


@cache
def _calls(name: str) -> tuple[Call, ...]:
    path: Path = corpus_dir() / "sessions" / name
    lines = subprocess.run(["zstd", "-dc", "--long=27", path], capture_output=True, check=True).stdout.splitlines()
    return tuple(Call(json.loads(line)) for line in (lines if _IS_WHOLE else lines[:_SHORT]))


@cache
def _events(name: str, *, without_ids: bool = False) -> tuple[Event, ...]:
    """The session as it is recorded, at its own times. It is idle over night, which is no end here."""
    pipeline = Pipeline(PipelineSettings(idle_timeout_ns=7 * _DAY_NS))
    events: list[Event] = []
    at_ms = 0
    for number, call in enumerate(_calls(name)):
        at_ms = max(at_ms + _TOOK_MS, call.at_ms - _calls(name)[0].at_ms)
        body = _compact(call.request | {"metadata": {}}) if without_ids else call.body
        script = ExchangeScript(number, body=body, opened_ms=at_ms, sent_ms=at_ms)
        script.answer(200, at_ms=at_ms + _TOOK_MS - 20)
        script.chunk(json.dumps(call.response).encode(), at_ms=at_ms + _TOOK_MS - 10)
        script.close(at_ms=at_ms + _TOOK_MS - 10)
        events += pipeline.feed(script.received)
        events += pipeline.feed(script.ended)
    events += pipeline.feed(RunEnded(START_WALL_NS + (at_ms + 1000) * MS))
    assert pipeline.take_poisoned() == []
    return tuple(events)


def _of(name: str, kind: type[Any]) -> list[Any]:
    return [event for event in _events(name) if isinstance(event, kind)]


@pytest.mark.parametrize("name", _names())
def test_a_session_is_one_session_with_one_thread(name: str) -> None:
    requests = _of(name, RequestRecorded)
    assert len(_of(name, Started)) == len(_of(name, Completed)) == 1
    assert {request.thread_kind for request in requests} == {"main"}
    assert len({request.thread_id for request in requests}) == 1
    assert [request.retry_of for request in requests] == [None] * len(_calls(name))


@pytest.mark.parametrize("name", _names())
def test_without_its_id_a_session_is_one_up_to_where_its_history_is_replaced(name: str) -> None:
    events = _events(name, without_ids=True)
    compactions = sum(
        earlier is not None and _common(earlier.blocks, later.blocks) == 0
        for earlier, later in zip(_previous(name), _calls(name), strict=True)
    )
    assert len([event for event in events if isinstance(event, Started)]) == 1 + compactions


@pytest.mark.parametrize("name", _names())
def test_every_tool_call_and_result_counts_once(name: str) -> None:
    calls = _calls(name)
    asked = dict.fromkeys(
        block["id"] for call in calls for block in call.response["content"] if block["type"] == "tool_use"
    )
    answered = {
        block["tool_use_id"]
        for call in calls
        for message in call.request["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    }
    recorded = [event.tool_call_id for event in _of(name, ToolCallRecorded)]
    assert sorted(recorded) == sorted(answered & asked.keys())
    summary = _of(name, Completed)[0].final_stats.tool_summary
    assert summary.total_calls == len(asked)
    assert 0 <= summary.tool_wait_ms <= summary.total_tool_time_ms


@pytest.mark.parametrize("name", _names())
def test_what_is_new_and_what_was_re_sent(name: str) -> None:
    for earlier, later, request in zip(_previous(name), _calls(name), _of(name, RequestRecorded), strict=True):
        stats = request.stats
        kept = 0 if earlier is None else _common(earlier.blocks, later.blocks)
        assert stats.new_message_count == len(later.blocks) - kept
        assert stats.new_bytes + stats.resent_bytes == len(later.body)
        if earlier is not None:
            messages = sum(len(_compact(message)) for message in later.request["messages"][:kept])
            assert earlier.request["tools"] == later.request["tools"]
            tools = sum(len(_compact(tool)) for tool in later.request["tools"])
            system = sum(len(block["text"].encode()) for block in later.request["system"])
            assert abs(stats.resent_bytes - (messages + tools + system)) <= _MARKER_BYTES


_MARKER_BYTES = 2 * len(',"cache_control":{"type":"ephemeral","ttl":"1h"}')
"""Tools and system prompt may carry one each."""


@pytest.mark.parametrize("name", _names())
def test_shares_of_the_cache_and_missed_hits(name: str) -> None:
    missed = []
    for earlier, later, response in zip(_previous(name), _calls(name), _of(name, ResponseRecorded), strict=True):
        context = response.stats.context
        assert context.cache_read_share == pytest.approx(later.read / later.input_tokens)
        possible = 0 if earlier is None else min(earlier.read + earlier.written, later.input_tokens) - later.read
        miss = context.cache_miss
        assert (possible >= _LEAST_TOKENS) == (miss is not None)
        if miss is not None and earlier is not None:
            missed.append(miss)
            assert miss.missed_tokens == possible
            has_difference = _common_blocks(earlier.blocks, later.blocks) < sum(map(len, earlier.blocks))
            assert (miss.message_index is not None) == has_difference
            assert miss.cost_usd is None or miss.cost_usd >= 0
        if earlier is not None and _common_blocks(earlier.blocks, later.blocks) == sum(map(len, earlier.blocks)):
            assert context.new_input_tokens == max(0, later.input_tokens - earlier.input_tokens)
    sums = _of(name, Completed)[0].final_stats.context
    assert sums.cache_miss_count == len(missed)
    assert sums.cache_missed_tokens == sum(miss.missed_tokens for miss in missed)


def _previous(name: str) -> Iterator[Call | None]:
    yield None
    yield from _calls(name)[:-1]


def _common(earlier: list[list[str]], later: list[list[str]]) -> int:
    """How many whole messages at the beginning are the same."""
    same = _common_blocks(earlier, later)
    count = 0
    for blocks in later:
        same -= len(blocks)
        if same < 0:
            break
        count += 1
    return count


def _common_blocks(earlier: list[list[str]], later: list[list[str]]) -> int:
    pairs = zip((b for blocks in earlier for b in blocks), (b for blocks in later for b in blocks), strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other), min(_count(earlier), _count(later))
    )


def _count(blocks: list[list[str]]) -> int:
    return sum(map(len, blocks))
