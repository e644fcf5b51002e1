"""Days that are over are kept as sums in ClickHouse of today: the answers stay SQLite's, whatever comes when."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lunaroute.events import Event
from lunaroute.query.grammar import parse_filter
from lunaroute.query.latency import latencies
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store
from lunaroute.query.tools import tool_usage
from lunaroute.query.usage import Dimension, usage
from lunaroute.simulator.seeded_session import SeededSession
from lunaroute.sinks.clickhouse.connection import ClickHouse
from lunaroute.sinks.clickhouse.reading import rows_of
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.clickhouse.summing import Summing
from tests.builders import Call, SessionScript
from tests.support.clickhouse import ChdbServer

from .stored import fill, make_index

pytestmark = pytest.mark.fleet

NOW = datetime.now(UTC)
SPANS = ["", "since:6d", "since:8d until:3d", "until:5d", "since:1d", "client:codex", "-model:gpt-5 since:9d"]
GROUPS: list[tuple[Dimension, ...]] = [(), ("day", "model"), ("hour",), ("client",)]


def _sessions(count: int, seed: int) -> list[Event]:
    dice = random.Random(seed)
    starts = [NOW - timedelta(days=10) * dice.random() for _ in range(count)]
    return [
        event
        for number, start in enumerate(starts)
        for event in SeededSession(f"{seed}/{number}", start, 4, random.Random(number)).events
    ]


@pytest.fixture
def url(new_clickhouse: ChdbServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a database in which days are summed when a test says so, and not when a sink finds the time."""
    monkeypatch.setattr(Summing, "look", lambda _: None)
    return new_clickhouse.new_database()


def _open(url: str) -> Index:
    opened = open_store(url, Path("nowhere"))
    assert opened is not None
    return opened


def _answers(url: str) -> Iterator[Any]:
    with closing(_open(url)) as index:
        for span in SPANS:
            for by in GROUPS:
                yield from usage(index, parse_filter(span, NOW), by)
                yield from latencies(index, parse_filter(span, NOW), by)
            yield from tool_usage(index, parse_filter(span, NOW))
            yield from tool_usage(index, parse_filter(span, NOW), has_percentiles=False)


def _assert_same(url: str, home: Path, events: list[Event]) -> None:
    found, expected = list(_answers(url)), list(_answers(f"sqlite:{make_index(home, events)}"))
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        for name in theirs.__struct_fields__:
            one, other = getattr(mine, name), getattr(theirs, name)
            # Times are rounded before they are added, and stores round halves to different sides.
            grain = 1e-5 if name.endswith("_ms") else 0.0
            assert one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=grain), name


def _since(server: ClickHouse) -> str:
    return str(rows_of(server, "SELECT since FROM summed_until")[0][0])


def test_sums_are_right_before_between_and_after_late_exchanges(url: str, tmp_path: Path) -> None:
    events, late = _sessions(40, 1), _sessions(15, 2)
    begun, rest = late[: len(late) // 2], late[len(late) // 2 :]
    server = ClickHouse(url)
    fill(ClickHouseSink(url), events)
    _assert_same(url, tmp_path / "unsummed", events)

    Summing(server).sum_all()
    summed_until = _since(server)
    assert summed_until >= (NOW - timedelta(days=4)).date().isoformat()
    _assert_same(url, tmp_path / "summed", events)

    fill(ClickHouseSink(url), begun)
    assert _since(server) < summed_until
    _assert_same(url, tmp_path / "late", events + begun)

    Summing(server).sum_all()
    assert _since(server) == summed_until
    _assert_same(url, tmp_path / "again", events + begun)

    fill(ClickHouseSink(url), rest)
    Summing(server).sum_all()
    Summing(server).sum_all()
    assert _since(server) == summed_until
    _assert_same(url, tmp_path / "at last", events + late)
    server.close()


def test_an_exchange_that_comes_while_its_day_is_summed_is_not_lost(url: str, tmp_path: Path) -> None:
    """Its mark is not among those that the sums have counted, whichever of the two was first."""
    events, late = _sessions(20, 3), _sessions(10, 4)
    fill(ClickHouseSink(url), events)
    server = ClickHouse(url)
    marks = dict(rows_of(server, "SELECT day, count() FROM late_rows FINAL GROUP BY day"))
    Summing(server).sum_all()
    fill(ClickHouseSink(url), late)
    for day, count in marks.items():  # what a recorder writes that had counted the marks before those exchanges came
        server.run(f"INSERT INTO summed_days VALUES ('{day}', {count})".encode())
    _assert_same(url, tmp_path / "home", events + late)
    server.close()


def test_calls_of_sessions_that_go_on_when_their_days_are_summed_are_counted(url: str, tmp_path: Path) -> None:
    sessions: dict[str, list[Event]] = {}
    for event in _sessions(20, 5):
        sessions.setdefault(event.session_id, []).append(event)
    begun = [event for events in sessions.values() for event in events[: len(events) // 2]]
    rest = [event for events in sessions.values() for event in events[len(events) // 2 :]]
    fill(ClickHouseSink(url), begun)
    server = ClickHouse(url)
    Summing(server).sum_all()
    fill(ClickHouseSink(url), rest)
    _assert_same(url, tmp_path / "marked", begun + rest)
    Summing(server).sum_all()
    _assert_same(url, tmp_path / "summed", begun + rest)
    server.close()


def test_a_result_that_comes_alone_to_a_day_that_is_summed_is_counted(url: str, tmp_path: Path) -> None:
    call = Call("Bash", "c1", '{"cmd": "make"}')
    script = SessionScript("alone", NOW - timedelta(days=6)).turn("make it", "Yes.", calls=[call])
    begun = list(script.events)
    script.now += timedelta(days=1)
    rest = script.result(call, "made", success=False).events[len(begun) :]
    fill(ClickHouseSink(url), [*begun, *_sessions(5, 6)])
    server = ClickHouse(url)
    Summing(server).sum_all()
    fill(ClickHouseSink(url), rest)
    for name in ("marked", "summed"):
        _assert_same(url, tmp_path / name, [*begun, *_sessions(5, 6), *rest])
        Summing(server).sum_all()
    server.close()


def test_calls_of_a_day_on_which_no_exchange_began_are_counted(url: str, tmp_path: Path) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    before = SessionScript("before", midnight - timedelta(days=8, seconds=0.5))
    before.turn("make it", "Yes.", calls=[Call("Bash", "c1", '{"cmd": "make"}')])  # a second later
    events = [*before.events, *SessionScript("after", midnight - timedelta(days=5)).turn().events]
    fill(ClickHouseSink(url), events)
    server = ClickHouse(url)
    Summing(server).sum_all()
    assert rows_of(server, "SELECT count() FROM summed_days FINAL")[0][0] == 3
    _assert_same(url, tmp_path / "home", events)
    server.close()
