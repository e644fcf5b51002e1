"""The promised queries give the right answers on what the sinks write."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import Call, SessionScript, tokens
from tests.promised import (
    SessionTruth,
    ToolTruth,
    check_jq_cost,
    check_promised_queries,
    check_sql_overhead,
    gather,
)

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries ask for the last day, and a long run may have been collected long ago."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))


def _record(sessions_dir: Path, scripts: Sequence[SessionScript]) -> None:
    sinks = [JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)]
    for sink in sinks:
        sink.open()
        for script in scripts:
            sink.write_batch(script.events)
        sink.close()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "all-sessions"
    folder.mkdir()
    return folder


def _thinker() -> tuple[SessionScript, SessionTruth]:
    """10,001 thinking tokens in two exchanges; 23 h 50 min ago."""
    read, bash = Call("Read", "r1"), Call("Bash", "b1")
    script = SessionScript("thinker", NOW - timedelta(hours=23, minutes=50))
    script.turn(tokens=tokens(100, 7000, 6000), cost_usd=0.1, calls=[read, bash], latency_ms=900, overhead_ms=3)
    script.result(read).result(bash, "boom", success=False)
    script.turn(tokens=tokens(100, 4500, 4001), cost_usd=0.2, calls=[Call("Read", "r2")], latency_ms=700, overhead_ms=2)
    script.complete()
    return script, SessionTruth(
        session_id=script.session_id,
        is_of_last_day=True,
        thinking_tokens=10_001,
        total_cost_usd=0.3,
        provider_latency_ms=1600.0,
        proxy_overhead_ms=5.0,
        overhead_pct=0.25,
        tools={"Read": ToolTruth(call_count=2), "Bash": ToolTruth(call_count=1, error_count=1)},
    )


def _yesterdays() -> tuple[SessionScript, SessionTruth]:
    """Exactly 10,000 thinking tokens, which is not more than 10,000; 24 h 10 min ago, which is not the last day."""
    script = SessionScript("yesterday", NOW - timedelta(hours=24, minutes=10))
    script.turn(tokens=tokens(5, 10_500, 10_000), cost_usd=1.7, calls=[Call("Grep", "g1")]).complete("idle")
    return script, SessionTruth(
        session_id=script.session_id,
        is_of_last_day=False,
        thinking_tokens=10_000,
        total_cost_usd=1.7,
        tools={"Grep": ToolTruth(call_count=1)},
    )


def _unpriced() -> tuple[SessionScript, SessionTruth]:
    """A model nobody knows the price of, that never speaks of thinking."""
    script = SessionScript("unpriced", NOW - timedelta(hours=2), model="local", provider="ollama", client=None)
    script.turn(tokens=tokens(9, 9), cost_usd=None, latency_ms=50, overhead_ms=20).complete()
    return script, SessionTruth(
        session_id=script.session_id,
        is_of_last_day=True,
        thinking_tokens=None,
        total_cost_usd=None,
        provider_latency_ms=50.0,
        proxy_overhead_ms=20.0,
        overhead_pct=2.0,
    )


def _running() -> tuple[SessionScript, SessionTruth]:
    """Not completed: the index knows it, the `completed` lines do not."""
    script = SessionScript("running", NOW - timedelta(minutes=1))
    script.turn(tokens=tokens(9, 20_000, 15_000), cost_usd=9.0, calls=[Call("Bash", "b9")], overhead_ms=10)
    return script, SessionTruth(
        session_id=script.session_id,
        is_completed=False,
        is_of_last_day=True,
        thinking_tokens=15_000,
        total_cost_usd=9.0,
        provider_latency_ms=100.0,
        proxy_overhead_ms=10.0,
        overhead_pct=1.0,
        tools={"Bash": ToolTruth(call_count=1)},
    )


def _waiting() -> tuple[SessionScript, SessionTruth]:
    """Its first request has no answer yet: no duration, so no share of it."""
    script = SessionScript("waiting", NOW - timedelta(seconds=5)).ask()
    return script, SessionTruth(
        session_id=script.session_id,
        is_completed=False,
        is_of_last_day=True,
        thinking_tokens=None,
        total_cost_usd=None,
        provider_latency_ms=0.0,
        proxy_overhead_ms=0.0,
    )


def test_every_promised_query_gives_the_known_totals(tmp_path: Path, scratch: Path) -> None:
    told = [_thinker(), _yesterdays(), _unpriced(), _running(), _waiting()]
    _record(tmp_path / "sessions", [script for script, _ in told])
    check_promised_queries(tmp_path / "sessions", [truth for _, truth in told], scratch)


def test_costs_of_many_sessions_add_up(tmp_path: Path, scratch: Path) -> None:
    scripts, truth = [], []
    for number in range(60):
        script = SessionScript(f"s{number}", NOW - timedelta(days=2, seconds=number)).turn(cost_usd=0.01).complete()
        scripts.append(script)
        truth.append(
            SessionTruth(
                session_id=script.session_id,
                is_completed=True,
                is_of_last_day=False,
                thinking_tokens=None,
                total_cost_usd=0.01,
            )
        )
    _record(tmp_path / "sessions", scripts)
    gather(tmp_path / "sessions", scratch)
    check_jq_cost(scratch, truth)
    check_sql_overhead(tmp_path / "sessions" / "sessions.db", truth)


def test_a_session_of_the_last_day_is_told_from_one_of_the_same_date(tmp_path: Path, scratch: Path) -> None:
    """With a `T` between date and time every session of yesterday's date would count as of the last 24 hours."""
    told = [_thinker(), _yesterdays()]
    _record(tmp_path / "sessions", [script for script, _ in told])
    wrong = [msgspec.structs.replace(one, is_of_last_day=True) for _, one in told]
    with pytest.raises(AssertionError):
        check_promised_queries(tmp_path / "sessions", wrong, scratch)


def test_a_session_without_exchanges_answers_with_zeros_and_nothing(tmp_path: Path, scratch: Path) -> None:
    script = SessionScript("empty", NOW - timedelta(minutes=3)).complete("recovered")
    truth = SessionTruth(
        session_id=script.session_id,
        is_of_last_day=True,
        thinking_tokens=None,
        total_cost_usd=None,
        provider_latency_ms=0.0,
        proxy_overhead_ms=0.0,
    )
    _record(tmp_path / "sessions", [script])
    check_promised_queries(tmp_path / "sessions", [truth], scratch)


def test_an_empty_index_answers_with_no_rows(tmp_path: Path, scratch: Path) -> None:
    _record(tmp_path / "sessions", [])
    check_promised_queries(tmp_path / "sessions", [], scratch)
