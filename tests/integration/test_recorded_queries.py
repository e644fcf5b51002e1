"""The promised queries give the right answers on recordings made through the relay by the official SDKs.

What is right comes from the simulated provider's ledger; what it costs, from list prices written down here.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from lunaroute.capture.ids import uuid7
from lunaroute.capture.records import (
    ExchangeClosed,
    Record,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
)
from lunaroute.simulator import LedgerEntry, start_simulator
from lunaroute.spool.writer import open_lane
from tests.promised import SessionTruth, ToolTruth, check_promised_queries
from tests.support.server import RecordedSession, query, serving, sessions

USD_PER_MILLION = {
    "claude-haiku-4-5": {"input": 1.0, "cache_write": 1.25, "cache_read": 0.1, "output": 5.0},
    "claude-sonnet-4-6": {"input": 3.0, "cache_write": 3.75, "cache_read": 0.3, "output": 15.0},
    "gpt-4.1": {"input": 2.0, "cache_read": 0.5, "output": 8.0},
    "gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10.0},
}
"""List prices of the providers; below 200,000 tokens, standard tier."""
SLOW_MS = 120.0
OLD_TAG, OLD_AGE_S, RECENT_TAG, RECENT_AGE_S = "yesterday", 87_000, "nearly-yesterday", 85_800
"""24 h 10 min and 23 h 50 min ago."""
_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one exchange is billed for."""

    model: str
    uncached: int
    cache_read: int
    cache_write: int
    output: int
    thinking: int

    @property
    def cost_usd(self) -> float | None:
        price = USD_PER_MILLION.get(self.model)
        if price is None:
            return None
        parts = (self.uncached * price["input"], self.cache_read * price["cache_read"], self.output * price["output"])
        return (sum(parts) + self.cache_write * price.get("cache_write", 0.0)) / 1e6


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    home: Path
    ledger: list[LedgerEntry]
    by_tag: dict[str, RecordedSession]

    def truth(self) -> list[SessionTruth]:
        return [self._truth_of(tag, session) for tag, session in self.by_tag.items()]

    def _truth_of(self, tag: str, session: RecordedSession) -> SessionTruth:
        if tag in (OLD_TAG, RECENT_TAG):
            return _old_truth(tag, session)
        own = [entry for entry in self.ledger if ("x-session-tag", tag) in entry.request_headers]
        used = [_usage(entry) for entry in own if entry.is_usage_served]
        costs = [usage.cost_usd for usage in used if usage.cost_usd is not None]
        calls = Counter(call.name for entry in own for call in entry.tool_calls)
        return SessionTruth(
            session_id=session.started.session_id,
            is_of_last_day=True,
            thinking_tokens=sum(usage.thinking for usage in used) if used else None,
            total_cost_usd=sum(costs) if costs else None,
            tools={
                name: ToolTruth(call_count=count, error_count=FAILED_CALLS.get((tag, name), 0))
                for name, count in calls.items()
            },
        )


FAILED_CALLS = {("agent", "read_file"): 1}
"""(tag, tool) → results that the client reported as errors."""


def _usage(entry: LedgerEntry) -> Usage:
    told = entry.usage or {}
    model = entry.model or ""
    if entry.dialect == "anthropic_messages":
        return Usage(
            model=model,
            uncached=told["input_tokens"],
            cache_read=told["cache_read_input_tokens"],
            cache_write=told["cache_creation_input_tokens"],
            output=told["output_tokens"],
            thinking=told["output_tokens_details"]["thinking_tokens"],
        )
    prefix = ("prompt", "completion") if entry.dialect == "openai_chat" else ("input", "output")
    cached = told[f"{prefix[0]}_tokens_details"]["cached_tokens"]
    return Usage(
        model=model,
        uncached=told[f"{prefix[0]}_tokens"] - cached,
        cache_read=cached,
        cache_write=0,
        output=told[f"{prefix[1]}_tokens"],
        thinking=told[f"{prefix[1]}_tokens_details"]["reasoning_tokens"],
    )


# ---- traffic ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    home = tmp_path_factory.mktemp("queries") / "home"
    write_spool(home / "spool", time.time_ns(), [(OLD_TAG, OLD_AGE_S), (RECENT_TAG, RECENT_AGE_S)])
    with start_simulator() as provider:
        with serving(home, {"anthropic": provider.base_url, "openai": provider.base_url}) as server:
            _agent(server.base_url)
            _thinkers(server.base_url)
            _chats(server.base_url)
            _nobodys_model(server.base_url)
            _refused(server.base_url)
        ledger = provider.ledger()
    found = sessions(home)
    by_tag = {session.started.metadata.session_tags[0]: session for session in found}
    assert len(by_tag) == len(found) == 8
    return Recording(home=home, ledger=ledger, by_tag=by_tag)


def _claude(base_url: str, tag: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="dummy", base_url=base_url, default_headers={"x-session-tag": tag}, max_retries=0
    )


def _gpt(base_url: str, tag: str) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="dummy", base_url=f"{base_url}/v1", default_headers={"x-session-tag": tag}, max_retries=0
    )


def _agent(base_url: str) -> None:
    """Two tools at once, one of which fails; the history is cached, and once the provider is overloaded."""
    system: Any = [{"type": "text", "text": "Rules. " * 300, "cache_control": {"type": "ephemeral"}}]
    tools: Any = [{"name": name, "input_schema": _SCHEMA} for name in ("read_file", "grep")]
    messages: list[Any] = [{"role": "user", "content": "Find it."}]
    failed = False
    with _claude(base_url, "agent") as client:
        with pytest.raises(anthropic.APIStatusError):
            client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=900,
                messages=messages,
                extra_headers={"x-simulate": "status=529"},
            )
        while True:
            with client.messages.stream(
                model="claude-haiku-4-5", max_tokens=900, system=system, tools=tools, messages=messages
            ) as stream:
                answer = stream.get_final_message()
            calls = [block for block in answer.content if block.type == "tool_use"]
            if not calls:
                return
            results = []
            for call in calls:
                is_error = call.name == "read_file" and not failed
                failed = failed or is_error
                results.append(
                    {"type": "tool_result", "tool_use_id": call.id, "content": "src/a.py:1", "is_error": is_error}
                )
            messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]


def _thinkers(base_url: str) -> None:
    """More than 10,000 thinking tokens in two exchanges, and exactly 10,000 in one."""
    thinking: Any = {"type": "enabled", "budget_tokens": 2048}
    with _claude(base_url, "thinker") as client:
        for count in (9_000, 1_001):
            client.messages.create(
                model="claude-sonnet-4-6",
                max_tokens=4000,
                thinking=thinking,
                messages=[{"role": "user", "content": f"Think about {count}."}],
                extra_headers={"x-simulate": f"thinking_tokens={count}"},
            )
    with _gpt(base_url, "not-quite-a-thinker") as gpt:
        gpt.responses.create(
            model="gpt-5",
            input="Think.",
            extra_headers={"x-simulate": f"thinking_tokens=10000; slow_first_byte_ms={SLOW_MS}"},
        )


def _chats(base_url: str) -> None:
    """Streams that tell their usage and one that does not; OpenAI caches unasked."""
    tools: Any = [{"type": "function", "function": {"name": "grep", "parameters": _SCHEMA}}]
    messages: Any = [{"role": "system", "content": "Rules. " * 300}, {"role": "user", "content": "Find it."}]
    options: Any
    with _gpt(base_url, "chat") as gpt:
        for options in ({"include_usage": True}, {"include_usage": True}, {"include_usage": False}):
            stream = gpt.chat.completions.create(
                model="gpt-4.1",
                messages=messages,
                tools=tools,
                stream=True,
                stream_options=options,
            )
            assert list(stream)


def _nobodys_model(base_url: str) -> None:
    """A model without a price."""
    with _gpt(base_url, "unpriced") as gpt:
        gpt.chat.completions.create(model="my-own-model", messages=[{"role": "user", "content": "Hello."}])


def _refused(base_url: str) -> None:
    """A session of nothing but a failure."""
    with _gpt(base_url, "refused") as gpt, pytest.raises(openai.AuthenticationError):
        gpt.responses.create(model="gpt-5", input="x", extra_headers={"x-simulate": "status=401"})


# ---- traffic of another day --------------------------------------------------------------------------------------

OLD_USAGE = Usage(
    model="claude-haiku-4-5", uncached=1000, cache_read=200, cache_write=100, output=12_000, thinking=11_000
)


def write_spool(spool_dir: Path, now_wall_ns: int, exchanges: list[tuple[str, int]]) -> None:
    """What a relay of another day would have left: one exchange per (tag, age in seconds)."""
    writer = open_lane(spool_dir, 1 << 20)
    first_wall_ns = now_wall_ns - max(age_s for _, age_s in exchanges) * 10**9
    run_id = uuid7(first_wall_ns // 10**6, os.urandom(10))
    start_ns = end_ns = 10**9
    writer.put(RelayStarted(start_ns, first_wall_ns, run_id, 1, "0"))
    for number, (tag, age_s) in enumerate(exchanges, start=1):
        wall_ns = now_wall_ns - age_s * 10**9
        t_ns = start_ns + wall_ns - first_wall_ns
        end_ns = t_ns + 900_000_000
        for record in _old_exchange(number, tag, wall_ns, t_ns):
            writer.put(record)
        writer.flush()
    writer.close([RelayStopped(end_ns, first_wall_ns + end_ns - start_ns)], end_ns)


def _old_exchange(number: int, tag: str, wall_ns: int, t_ns: int) -> Iterator[Record]:
    usage = {
        "input_tokens": OLD_USAGE.uncached,
        "cache_read_input_tokens": OLD_USAGE.cache_read,
        "cache_creation_input_tokens": OLD_USAGE.cache_write,
        "output_tokens": OLD_USAGE.output,
        "output_tokens_details": {"thinking_tokens": OLD_USAGE.thinking},
    }
    call = {"type": "tool_use", "id": f"toolu_{tag}", "name": "Bash", "input": {"command": "ls"}}
    answer: dict[str, Any] = {"id": f"msg_{tag}", "type": "message", "role": "assistant", "model": OLD_USAGE.model}
    answer |= {"content": [call], "stop_reason": "tool_use", "usage": usage}
    request = {"model": OLD_USAGE.model, "max_tokens": 9, "messages": [{"role": "user", "content": tag}]}
    yield RequestOpened(
        exchange=number,
        t_ns=t_ns,
        wall_ns=wall_ns,
        request_id=uuid7(wall_ns // 10**6, os.urandom(10)),
        listener="anthropic",
        provider="anthropic",
        method="POST",
        target="/v1/messages",
        path="/v1/messages",
        http_version="1.1",
        header_lines=f"x-session-tag: {tag}".encode(),
        client_ip="127.0.0.1",
        session_tags=[tag],
        credential=None,
    )
    yield RequestChunk(number, t_ns, json.dumps(request).encode(), 1_000_000)
    yield ResponseOpened(number, t_ns + 500_000_000, 200, "OK", b"content-type: application/json")
    yield ResponseChunk(number, t_ns + 800_000_000, json.dumps(answer).encode())
    yield ExchangeClosed(number, t_ns + 900_000_000, "completed", None, t_ns, 1_000_000, 2_000_000)


def _old_truth(tag: str, session: RecordedSession) -> SessionTruth:
    """800 ms until the last byte; 1 ms of our own time on the way there, 2 ms on the way back, of 900 ms."""
    return SessionTruth(
        session_id=session.started.session_id,
        is_of_last_day=tag == RECENT_TAG,
        thinking_tokens=OLD_USAGE.thinking,
        total_cost_usd=OLD_USAGE.cost_usd,
        provider_latency_ms=800.0,
        proxy_overhead_ms=3.0,
        overhead_pct=3.0 * 100 / 900,
        tools={"Bash": ToolTruth(call_count=1)},
    )


# ---- tests ------------------------------------------------------------------------------------------------------


def test_every_promised_query_gives_the_providers_totals(recording: Recording, tmp_path: Path) -> None:
    truth = recording.truth()
    assert {one.session_id for one in truth if (one.thinking_tokens or 0) > 10_000} == {
        recording.by_tag[tag].started.session_id for tag in ("thinker", OLD_TAG, RECENT_TAG)
    }
    check_promised_queries(recording.home / "sessions", truth, tmp_path)


def test_a_wrong_total_would_be_noticed(recording: Recording, tmp_path: Path) -> None:
    truth = recording.truth()
    cost_usd = (truth[0].total_cost_usd or 0.0) + 1e-6
    with pytest.raises(AssertionError):
        check_promised_queries(
            recording.home / "sessions",
            [msgspec.structs.replace(truth[0], total_cost_usd=cost_usd), *truth[1:]],
            tmp_path,
        )


def test_sessions_of_another_day_lie_in_that_days_folder(recording: Recording) -> None:
    for tag, age_s in ((OLD_TAG, OLD_AGE_S), (RECENT_TAG, RECENT_AGE_S)):
        session = recording.by_tag[tag]
        assert session.path.parent.name == session.started.timestamp[:10]
        began_s = time.time() - age_s
        assert session.path.parent.name in {time.strftime("%Y-%m-%d", time.gmtime(began_s - n)) for n in (0, 3600)}


def test_durations_bound_each_other(recording: Recording) -> None:
    """What the provider took and what we added lie within the whole; a wait at the provider is the provider's."""
    rows = query(recording.home / "sessions" / "sessions.db", "SELECT * FROM sessions")
    assert len(rows) == len(recording.by_tag)
    for row in rows:
        assert 0 < row["proxy_overhead_ms"] < row["total_duration_ms"], row["session_id"]
        assert 0 < row["provider_latency_ms"] < row["total_duration_ms"], row["session_id"]
    slow = recording.by_tag["not-quite-a-thinker"].started.session_id
    (row,) = (row for row in rows if row["session_id"] == slow)
    assert row["provider_latency_ms"] >= SLOW_MS
    assert row["proxy_overhead_ms"] < SLOW_MS


def test_the_index_agrees_with_the_files(recording: Recording) -> None:
    rows = {
        row["session_id"]: row for row in query(recording.home / "sessions" / "sessions.db", "SELECT * FROM sessions")
    }
    for session in recording.by_tag.values():
        stats, row = session.completed.final_stats, rows[session.started.session_id]
        tokens = stats.total_tokens
        assert row["request_count"] == stats.request_count
        assert (row["input_tokens"], row["output_tokens"]) == (tokens.input, tokens.output)
        assert (row["thinking_tokens"], row["total_tokens"]) == (tokens.thinking, tokens.total)
        assert row["total_cost_usd"] == pytest.approx(stats.estimated_cost.total_cost_usd)
        assert row["proxy_overhead_ms"] == pytest.approx(stats.proxy_overhead_ms)
        assert row["provider_latency_ms"] == pytest.approx(stats.provider_time_ms)
