"""Every store answers every question as SQLite does, row by row; sums of floats may differ in their last digits.

With TEST_FLEET_LONG, all spans of time, all filters, today's ClickHouse and a cluster; without, some of them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from lunaroute.errors import AmbiguousPrefix, FilterError, NoSuchSession
from lunaroute.export.tables import write_csv
from lunaroute.query.exchanges import list_calls, list_exchanges
from lunaroute.query.filter import Filter
from lunaroute.query.gaps import stream_gaps
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.latency import latencies
from lunaroute.query.overhead import recent_overhead
from lunaroute.query.raw import find_exchange, session_of_response
from lunaroute.query.search import search
from lunaroute.query.session_detail import (
    neighbours,
    read_detail,
    session_calls,
    session_exchanges,
    working_sessions,
)
from lunaroute.query.sessions import Order, find_session, list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store
from lunaroute.query.tools import tool_usage
from lunaroute.query.usage import Dimension, usage
from lunaroute.query.values import FACETS, known_values
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.postgres.sink import PostgresSink
from tests.support.clickhouse import ChdbServer, ClickHouseServer
from tests.support.cluster import NAME, ClickHouseCluster
from tests.support.postgres import PostgresServer

from .long import IS_LONG
from .stored import NOW, make_index, recorded_events, stored_in

pytestmark = pytest.mark.fleet

Ask = Callable[[Index], Any]

SPANS = [
    "",
    "since:2026-11-24T12:20",
    "until:2026-11-25T05:05:30",
    "since:2026-11-22T12:20 until:2026-11-28T01:59",
    "since:2026-11-22T10:10 until:2026-11-22T10:40",
    "since:2026-11-24 until:2026-11-26",
    "since:2026-11-26 until:2026-11-24",
]
EMPTY_SPANS = (SPANS[4], SPANS[6])
ROLLED_UP = [
    "",
    "provider:anthropic",
    "-provider:anthropic",
    "model:claude*",
    "client:codex -model:gpt-5",
    "model:zzz9*",
    "-client:zzz9*",
]
EXCHANGES = [
    *("error:true", "error:false", "live:true", "status:200", "-status:200", "outcome:http_error", "tool:Bash"),
    *("-tool:Bash", "tool:Ba*,Read", "cost:>0.01", "-cost:>0.01", "tokens:<=20k", "input:>500", "cached:>0"),
    *("latency:>1s", "ttft:0.1s..3s", "duration:>2s", "tools:>=1", "tag:nightly", "source:wire", "session:01a2"),
    *(
        "-client:codex",
        "weekday:mon,tue",
        "-hour:10",
        "node:zzz9*",
        "milk",
        '"buy milk"',
        "-milk",
        "need*",
        "client:a*",
        "nosuchword",
    ),
]
CALLS = [
    *("weekday:wed", "-weekday:wed", "hour:03,10"),
    *("error:true", "-error:true", "live:true", "tool:Bash", "-tool:Bash,Read", "duration:>1s", "model:claude*"),
    *("provider:anthropic", "client:codex", "tag:nightly", "session:01a2", "milk", "model:zzz9*", "-model:zzz9*"),
]
SESSIONS = [
    *("weekday:sat", "-hour:10"),
    *EXCHANGES[:6],
    *("tool:Bash", "-tool:Bash", "cost:>0.05", "tokens:>10k", "requests:>3", "tools:0", "errors:>0", "latency:>20s"),
    *("ttft:>1s", "duration:>1m", "tag:gr*", "source:transcript", "-session:01a2", "milk", '"say buy"', "-needle"),
    *("provider:openai model:gpt*", "client:zzz9*", "-client:zzz9*"),
]
SEARCHES = [
    *("milk", '"buy milk"', "need*", "milk -more", "kind:tool_result milk", "-kind:tool_result milk", "ubermaßig"),
    *("CAFÉ", "naive", "漢字", "sure_thing", "100", "sure client:codex", "needle since:2026-11-24", "slash new"),
    *("nosuchword", '"milk buy"', "notes txt"),
]


STORES = ["postgres", "old_clickhouse", "new_clickhouse", "clickhouse_cluster"]
if not IS_LONG:
    STORES = STORES[:2]
    SPANS = SPANS[1:4:2]
    EXCHANGES, CALLS, SESSIONS = EXCHANGES[::3], CALLS[::3], SESSIONS[::3]


@pytest.fixture(scope="module")
def sqlite_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    opened = open_index(make_index(tmp_path_factory.mktemp("home"), recorded_events()))
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def on_postgres(postgres: PostgresServer) -> str:
    return stored_in(postgres, PostgresSink, recorded_events())


@pytest.fixture(scope="module")
def on_old_clickhouse(old_clickhouse: ClickHouseServer) -> str:
    return stored_in(old_clickhouse, ClickHouseSink, recorded_events())


@pytest.fixture(scope="module")
def on_new_clickhouse(new_clickhouse: ChdbServer) -> str:
    return stored_in(new_clickhouse, ClickHouseSink, recorded_events())


@pytest.fixture(scope="module")
def on_clickhouse_cluster(clickhouse_cluster: ClickHouseCluster) -> str:
    return stored_in(clickhouse_cluster, ClickHouseSink, recorded_events(), cluster=NAME)


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    url = request.getfixturevalue(f"on_{request.param}")
    opened = open_store(url, tmp_path_factory.mktemp("nothing") / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


def _filter(text: str) -> Filter:
    return parse_filter(text, NOW)


def _asked(ask: Ask, index: Index) -> Any:
    try:
        return msgspec.to_builtins(ask(index))
    except (FilterError, NoSuchSession, AmbiguousPrefix) as error:
        return f"{type(error).__name__}: {error}"


def _differences(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    if isinstance(expected, float) and isinstance(found, float | int):
        # Times are rounded to 1e-6 before they are added, and stores round halves to different sides.
        grain = 1e-5 if place.endswith("_ms") else 1e-9
        is_same = math.isclose(expected, found, rel_tol=1e-9, abs_tol=grain)
    elif isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for name, value in expected.items():
            yield from _differences(value, found[name], f"{place}.{name}")
        return
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple) and len(expected) == len(found):
        for number, value in enumerate(expected):
            yield from _differences(value, found[number], f"{place}[{number}]")
        return
    else:
        is_same = type(expected) is type(found) and expected == found
    if not is_same:
        yield f"{place}: {expected!r}, found {found!r}"[:2000]


def _compare(sqlite_index: Index, store: Index, ask: Ask) -> Any:
    expected, found = _asked(ask, sqlite_index), _asked(ask, store)
    assert list(_differences(expected, found)) == []
    return expected


def _pages(page_of: Callable[[str | None], Any]) -> list[Any]:
    """All pages; cursors are the store's own, and not compared."""
    found: list[Any] = []
    after: str | None = None
    while True:
        page = page_of(after)
        found += page.items
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("span", SPANS)
def test_sums(sqlite_index: Index, store: Index, span: str) -> None:
    dimensions: list[tuple[Dimension, ...]] = [(), ("hour",), ("day", "model"), ("provider",), ("model", "client")]
    for text in [*ROLLED_UP, *EXCHANGES]:
        wanted = _filter(f"{text} {span}")
        for by in dimensions if text in ROLLED_UP else dimensions[:3]:
            _compare(sqlite_index, store, lambda index, by=by, wanted=wanted: usage(index, wanted, by))
        for by in (("model",), ("day", "client"), ("hour",)):
            _compare(sqlite_index, store, lambda index, by=by, wanted=wanted: latencies(index, wanted, by))


@pytest.mark.parametrize("span", SPANS)
def test_tools(sqlite_index: Index, store: Index, span: str) -> None:
    for text in ["", *CALLS]:
        for has_percentiles in (True, False):
            _compare(
                sqlite_index,
                store,
                lambda index, text=text, wanted=has_percentiles: tool_usage(
                    index, _filter(f"{text} {span}"), has_percentiles=wanted
                ),
            )


@pytest.mark.parametrize("span", SPANS)
def test_lists_of_sessions(sqlite_index: Index, store: Index, span: str) -> None:
    sizes = []
    for text in ["", *SESSIONS]:
        wanted = _filter(f"{text} {span}")
        expected = _compare(
            sqlite_index, store, lambda index, wanted=wanted: list_sessions(index, wanted, limit=None).items
        )
        sizes.append(len(expected))
    assert span in EMPTY_SPANS or len(set(sizes)) > 3


@pytest.mark.parametrize("order", ["newest", "cost", "tokens", "duration", "requests", "errors"])
def test_pages_of_sessions(sqlite_index: Index, store: Index, order: Order) -> None:
    def pages(index: Index) -> list[Any]:
        return _pages(lambda after: list_sessions(index, limit=7, order=order, after=after))

    assert len(_compare(sqlite_index, store, pages)) > 40


@pytest.mark.parametrize("text", ["milk", "-milk", "needle since:2026-11-24", "milk until:2026-11-25", "nosuchword"])
def test_pages_of_what_was_said(sqlite_index: Index, store: Index, text: str) -> None:
    wanted = _filter(text)
    asks: list[Callable[[Index, str | None], Any]] = [
        lambda index, after: list_sessions(index, wanted, limit=1, after=after),
        lambda index, after: list_exchanges(index, wanted, limit=2, after=after),
        lambda index, after: list_calls(index, wanted, limit=2, after=after),
    ]
    for ask in asks:
        _compare(sqlite_index, store, lambda index, ask=ask: _pages(lambda after: ask(index, after)))


@pytest.mark.parametrize("span", SPANS)
def test_lists_of_exchanges_and_calls(sqlite_index: Index, store: Index, span: str) -> None:
    for text in ["", *EXCHANGES]:
        wanted = _filter(f"{text} {span}")
        _compare(sqlite_index, store, lambda index, wanted=wanted: list_exchanges(index, wanted, limit=None).items)
    for text in ["", *CALLS]:
        wanted = _filter(f"{text} {span}")
        _compare(sqlite_index, store, lambda index, wanted=wanted: list_calls(index, wanted, limit=None).items)


def test_pages_of_exchanges_and_calls(sqlite_index: Index, store: Index) -> None:
    assert _compare(sqlite_index, store, lambda index: _pages(lambda at: list_exchanges(index, limit=9, after=at)))
    assert _compare(sqlite_index, store, lambda index: _pages(lambda at: list_calls(index, limit=9, after=at)))
    failed = _filter("tool:Bash error:true")
    assert _compare(sqlite_index, store, lambda index: _pages(lambda at: list_calls(index, failed, limit=2, after=at)))


@pytest.mark.parametrize("text", SEARCHES)
def test_search(sqlite_index: Index, store: Index, text: str) -> None:
    def hits(index: Index) -> list[Any]:
        found = _pages(lambda after: search(index, _filter(text), limit=5, after=after))
        plain: list[Any] = msgspec.to_builtins(found)
        return sorted(plain, key=lambda hit: (hit["request_id"], hit["kind"], hit["snippet"]))

    expected = _compare(sqlite_index, store, hits)
    assert bool(expected) == (text not in ("nosuchword", '"milk buy"'))


def test_single_sessions_in_full(sqlite_index: Index, store: Index) -> None:
    session_ids = [one.session_id for one in list_sessions(sqlite_index, limit=None).items]
    asks: list[Callable[[Index, str], Any]] = [read_detail, session_exchanges, session_calls, neighbours]
    for session_id in session_ids:
        for ask in asks:
            _compare(sqlite_index, store, lambda index, ask=ask, name=session_id: ask(index, name))
    assert _compare(sqlite_index, store, lambda index: sorted(working_sessions(index, session_ids)))
    assert _compare(sqlite_index, store, lambda index: sorted(working_sessions(index, []))) == []


def test_what_is_found_by_the_beginning_of_an_id(sqlite_index: Index, store: Index) -> None:
    exchange = list_exchanges(sqlite_index, limit=1).items[0]
    for prefix in (exchange.session_id[:20], "01a2", "ffff", "not an id"):
        _compare(sqlite_index, store, lambda index, prefix=prefix: find_session(index, prefix))
    for prefix in (exchange.request_id, exchange.session_id, "ffff", "no id"):
        _compare(sqlite_index, store, lambda index, prefix=prefix: find_exchange(index, prefix))
    row = sqlite_index.execute("SELECT response_id FROM session_stats WHERE response_id IS NOT NULL").fetchone()
    for response_id in (*(row or ()), "no such response"):
        _compare(sqlite_index, store, lambda index, name=response_id: session_of_response(index, name))


def test_names_that_can_be_filtered_by(sqlite_index: Index, store: Index) -> None:
    for field in sorted(FACETS):
        known = _compare(sqlite_index, store, lambda index, field=field: known_values(index, field))
        assert known or field in ("tenant", "node")
    said = _compare(sqlite_index, store, lambda index: list_sessions(index, _filter("model:claude-sonet-4-5")))
    assert "did you mean" in said


def test_exports(sqlite_index: Index, store: Index) -> None:
    sessions = list_sessions(sqlite_index, limit=None).items

    def table(index: Index) -> bytes:
        out = io.BytesIO()
        write_csv(index, sessions, out)
        return out.getvalue()

    assert table(store) == table(sqlite_index)


def test_the_relays_own_time(sqlite_index: Index, store: Index) -> None:
    assert _compare(sqlite_index, store, recent_overhead)


def test_pauses_of_streams(sqlite_index: Index, store: Index) -> None:
    assert _compare(sqlite_index, store, stream_gaps)["streams"]
