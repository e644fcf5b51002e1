"""Sums, percentiles and tools over any time are those of the single rows, whether roll-ups or rows answer."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.query import ways
from lunaroute.query.exchanges import list_calls, list_exchanges
from lunaroute.query.fields import WEEKDAYS
from lunaroute.query.gaps import stream_gaps
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.latency import latencies, merged, percentiles
from lunaroute.query.sessions import list_sessions
from lunaroute.query.tools import tool_usage
from lunaroute.query.usage import SUMS, Dimension, Usage, total, usage
from lunaroute.simulator.store import seed_store
from lunaroute.stats import histogram
from lunaroute.stats.percentile import percentile
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

from .conftest import record

NOW = TEN_OCLOCK + timedelta(days=4)
SPANS = [
    "",
    "since:2026-11-22T12:20",
    "until:2026-11-23T05:05:30",
    "since:2026-11-22T12:20 until:2026-11-24T01:59",
    "since:2026-11-22T12:10 until:2026-11-22T12:40",
    "since:2026-11-23 until:2026-11-24",
    "since:2026-11-24 until:2026-11-23",
]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    home: Path = tmp_path_factory.mktemp("home")
    dice = random.Random(4)
    scripts = []
    for number in range(40):
        start = TEN_OCLOCK + timedelta(minutes=73 * number)
        model, client = dice.choice(["opus", "haiku"]), dice.choice(["codex", "claude-code"])
        script = SessionScript(
            f"s{number}", start, model=model, client=client, tags=["nightly"] if number % 7 == 0 else []
        )
        for turn in range(dice.randrange(1, 6)):
            call = Call(dice.choice(["Read", "Bash"]), f"c{number}-{turn}")
            cost, took = dice.random(), dice.lognormvariate(7, 1)
            script.turn(f"ask {number}", tokens=tokens(100, 7), cost_usd=cost, latency_ms=took, calls=[call])
            script.result(call, execution_ms=took / 3, success=dice.random() > 0.2)
        scripts.append(script.turn("", "", outcome="upstream_cut", cost_usd=None))
    record(home, *scripts)
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


def _between(text: str, column: str) -> str:
    wanted = parse_filter(text, NOW)
    bounds: list[tuple[str, datetime | None]] = [(">=", wanted.since), ("<", wanted.until)]
    return " AND ".join(f"{column} {op} '{at:%Y-%m-%d %H:%M:%S.%f}'" for op, at in bounds if at is not None) or "1"


def _rows(connection: sqlite3.Connection, statement: str) -> list[tuple[Any, ...]]:
    return list(connection.execute(statement))


@pytest.fixture(params=["a small store", "a large one"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A way is looked for in large stores only, and taken where it saves something: here every way that there is."""
    if request.param == "a large one":
        monkeypatch.setattr(ways, "_FEW", 1)
        monkeypatch.setattr(ways, "_DETOUR", 1)
        monkeypatch.setattr(ways, "TEXTS_LOOKED_AT", 1)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize(
    "extra",
    [
        *("", "model:opus*", "client:codex -model:haiku", "error:true", "tool:Bash", "tag:nightly -tool:Bash"),
        *("status:529", "-outcome:completed", "outcome:upstream_cut", "outcome:upstream_cut,completed", '"ask 7"'),
    ],
)
@pytest.mark.parametrize("span", SPANS)
def test_usage_is_the_sum_of_the_exchanges(connection: sqlite3.Connection, span: str, extra: str) -> None:
    condition = {
        "": "1",
        "model:opus*": "model_name GLOB 'opus*'",
        "client:codex -model:haiku": "s.client_name = 'codex' AND model_name <> 'haiku'",
        "error:true": "e.success = 0",
        "tool:Bash": "request_id IN (SELECT request_id FROM tool_calls WHERE tool_name = 'Bash')",
        "tag:nightly -tool:Bash": "s.tags LIKE '%nightly%'"
        " AND request_id NOT IN (SELECT request_id FROM tool_calls WHERE tool_name = 'Bash')",
        "status:529": "status_code = 529",
        "-outcome:completed": "outcome <> 'completed'",
        "outcome:upstream_cut": "outcome = 'upstream_cut'",
        "outcome:upstream_cut,completed": "outcome IN ('upstream_cut', 'completed')",
        '"ask 7"': "request_id IN (SELECT request_id FROM texts WHERE content = 'ask 7')",
    }[extra]
    expected = _rows(
        connection,
        "SELECT substr(e.started_at, 1, 10), model_name, count(*), sum(1 - e.success), sum(e.total_tokens),"
        " sum(e.total_cost_usd), sum(e.provider_latency_ms) FROM session_stats e"
        " JOIN (SELECT session_id, client_name, tags FROM sessions) s USING (session_id)"
        f" WHERE {_between(span, 'e.started_at')} AND {condition} GROUP BY 1, 2 ORDER BY 1, 2",
    )
    found = usage(connection, parse_filter(f"{span} {extra}", NOW), ["day", "model"])
    sums = [
        (u.day, u.model, u.requests, u.failures, u.total_tokens, u.total_cost_usd, u.provider_latency_ms) for u in found
    ]
    assert len(sums) == len(expected)
    for got, right in zip(sums, expected, strict=True):
        assert got[:4] == right[:4]
        assert got[4:] == pytest.approx(right[4:])


@pytest.mark.parametrize("span", SPANS)
def test_percentiles_are_within_two_percent(connection: sqlite3.Connection, span: str) -> None:
    values = [
        row[0]
        for row in _rows(
            connection,
            f"SELECT provider_latency_ms FROM session_stats WHERE {_between(span, 'started_at')} ORDER BY 1",
        )
    ]
    found = latencies(connection, parse_filter(span, NOW))
    assert sum(one.latency.count for one in found) == len(values)
    for one in found:
        for percent, got in [(50, one.latency.p50_ms), (95, one.latency.p95_ms), (100, one.latency.max_ms)]:
            assert got == pytest.approx(percentile(values, percent), rel=0.02)


@pytest.mark.parametrize("extra", ["", "model:opus", "client:codex"])
@pytest.mark.parametrize("span", SPANS)
def test_days_are_the_sums_of_their_hours(connection: sqlite3.Connection, span: str, extra: str) -> None:
    wanted = parse_filter(f"{span} {extra}", NOW)
    for of_days, of_hours in zip(
        usage(connection, wanted, ["day"]), _by_day(usage(connection, wanted, ["hour"]), total), strict=True
    ):
        for name in SUMS:
            assert getattr(of_days, name) == pytest.approx(getattr(of_hours, name)), name
    for days, hours in zip(
        latencies(connection, wanted, ["day"]), _by_day(latencies(connection, wanted, ["hour"]), merged), strict=True
    ):
        assert (days.latency_buckets, days.ttft_buckets) == (hours.latency_buckets, hours.ttft_buckets)


def _by_day(found: list[Any], together: Callable[[list[Any]], Any]) -> list[Any]:
    days = groupby(found, key=lambda one: one.hour[:10])
    return [together(list(hours)) for _, hours in days]


@pytest.mark.parametrize("extra", ["", "tool:Read", "error:true"])
@pytest.mark.parametrize("span", SPANS)
def test_tools_are_the_sum_of_their_calls(connection: sqlite3.Connection, span: str, extra: str) -> None:
    condition = {"": "1", "tool:Read": "tool_name = 'Read'", "error:true": "success = 0"}[extra]
    called, returned = _between(span, "called_at"), _between(span, "returned_at")
    expected = _rows(
        connection,
        f"SELECT tool_name, count(*) FILTER (WHERE {called}), count(*) FILTER (WHERE {returned}),"
        f" count(*) FILTER (WHERE success = 0 AND {returned})"
        f" FROM tool_call_executions WHERE {condition} GROUP BY 1"
        f" HAVING count(*) FILTER (WHERE {called}) > 0 ORDER BY 1",
    )
    found = tool_usage(connection, parse_filter(f"{span} {extra}", NOW))
    assert sorted((t.tool, t.call_count, t.result_count, t.error_count) for t in found if t.call_count) == expected


@pytest.mark.parametrize("span", SPANS)
def test_tools_without_percentiles_are_the_same(connection: sqlite3.Connection, span: str) -> None:
    wanted = parse_filter(span, NOW)
    nothing = percentiles(histogram.EMPTY)
    whole = [
        msgspec.structs.replace(one, execution=nothing, execution_buckets=[]) for one in tool_usage(connection, wanted)
    ]
    found = tool_usage(connection, wanted, has_percentiles=False)
    for one, right in zip(found, whole, strict=True):
        assert one.total_execution_time_ms == pytest.approx(right.total_execution_time_ms)
        assert msgspec.structs.replace(one, total_execution_time_ms=right.total_execution_time_ms) == right


def test_everything_is_one_row(connection: sqlite3.Connection) -> None:
    (one,) = usage(connection)
    assert (one.day, one.model) == (None, None)
    assert one.requests == _rows(connection, "SELECT count(*) FROM session_stats")[0][0]


def test_exchanges_and_calls_come_in_pages_newest_first(connection: sqlite3.Connection) -> None:
    for listing, table, column in [
        (list_exchanges, "session_stats", "started_at"),
        (list_calls, "tool_call_executions", "called_at"),
    ]:
        found, after = [], None
        while True:
            page = listing(connection, parse_filter("model:opus*", NOW), limit=7, after=after)  # type: ignore[operator]
            found += [(one.request_id, getattr(one, column)) for one in page.items]
            after = page.next
            if after is None:
                break
        expected = (
            f"SELECT request_id, {column} FROM {table} WHERE model_name GLOB 'opus*' ORDER BY {column} DESC, rowid DESC"
        )
        assert found == _rows(connection, expected)
        assert len(found) > 14


def test_an_exchange_is_typed(connection: sqlite3.Connection) -> None:
    one = list_exchanges(connection, parse_filter("error:true", NOW), limit=1).items[0]
    assert (one.success, one.outcome, one.is_streaming) == (False, "upstream_cut", True)


@pytest.mark.parametrize("by", ["hour", "model", "client"])
def test_groups_put_together_are_the_whole(connection: sqlite3.Connection, by: Dimension) -> None:
    whole, groups = usage(connection), usage(connection, by=[by])
    summed = total(groups)
    assert summed is not None
    for name in Usage.__struct_fields__:
        assert getattr(summed, name) == pytest.approx(getattr(whole[0], name)), name
    assert merged(latencies(connection, by=[by])) == latencies(connection)[0]
    assert total([]) is None
    assert merged([]) is None


def test_hours_of_the_week_narrow_every_list(connection: sqlite3.Connection) -> None:
    for table, column, ask in (
        ("sessions", "started_at", list_sessions),
        ("session_stats", "started_at", list_exchanges),
        ("tool_call_executions", "called_at", list_calls),
    ):
        times = [datetime.fromisoformat(at) for (at,) in connection.execute(f"SELECT {column} FROM {table}")]
        weekdays = {WEEKDAYS[at.weekday()] for at in times}
        assert len(weekdays) > 1
        for weekday in weekdays:
            for hour in ("09", "14", "23"):
                wanted = parse_filter(f"weekday:{weekday} hour:{hour}", NOW)
                expected = sum(WEEKDAYS[at.weekday()] == weekday and at.hour == int(hour) for at in times)
                assert len(ask(connection, wanted, limit=500).items) == expected  # type: ignore[operator]


def test_gaps_are_counted_by_stream(tmp_path: Path) -> None:
    home = tmp_path / "home"
    seed_store(home, 30, seed=3, until=NOW)
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    with closing(opened) as index:
        known = "chunk_gap_p50_ms IS NOT NULL AND outcome IS NOT NULL"
        streams, fastest = index.execute(
            f"SELECT count(*), min(chunk_gap_p50_ms) FROM session_stats WHERE {known}"
        ).fetchone()
        found = stream_gaps(index)
        assert found.streams == streams > 50
        for buckets in (found.p50_buckets, found.p95_buckets, found.max_buckets):
            assert sum(count for _, count in buckets) == streams
        assert found.p50_buckets[0][0] == pytest.approx(fastest, rel=0.02)
        assert 0 < stream_gaps(index, parse_filter("client:codex", NOW)).streams < streams
