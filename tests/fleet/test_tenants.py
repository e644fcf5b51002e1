"""A store of several tenants: whoever may see one sees there what SQLite shows of it, and nothing of anybody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.errors import SqlRefused
from lunaroute.events import Event
from lunaroute.query.exchanges import list_calls, list_exchanges
from lunaroute.query.filter import EVERYTHING, Filter
from lunaroute.query.gaps import stream_gaps
from lunaroute.query.grammar import parse_filter
from lunaroute.query.latency import latencies
from lunaroute.query.overhead import recent_overhead
from lunaroute.query.raw import find_exchange
from lunaroute.query.search import search
from lunaroute.query.session_detail import neighbours, read_detail, session_calls, session_exchanges
from lunaroute.query.sessions import find_session, list_sessions
from lunaroute.query.stores.base import AskingIndex, Index
from lunaroute.query.stores.clickhouse import narrowed
from lunaroute.query.stores.opening import open_store
from lunaroute.query.tenant import of_tenant
from lunaroute.query.tools import tool_usage
from lunaroute.query.usage import usage
from lunaroute.query.values import FACETS, known_values
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.postgres.sink import PostgresSink
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens
from tests.support.clickhouse import ClickHouseServer
from tests.support.postgres import PostgresServer

from .stored import NOW, make_index, stored_in

pytestmark = pytest.mark.fleet

SECRET = "xylophone"
"""In everything of the others."""
FILTERS = ["", "client:a*", "-tool:Toolbanjo", "error:false", "tag:banjo", "since:2026-11-22T10:05", "model:*banjo"]
WORDS = ["banjo", '"ask banjo"', "more -again", "ans*", SECRET]


def _script(tenant: str | None, word: str, minutes: int) -> SessionScript:
    call = Call(f"Tool{word}", f"call_{word}", json.dumps({"path": word}))
    start = TEN_OCLOCK + timedelta(minutes=minutes)
    script = SessionScript(word, start, model=f"model-{word}", client=f"a-{word}", tags=[word], tenant=tenant)
    script.turn(f"ask {word}", f"answer {word}", tokens=tokens(100, 10), cost_usd=1.0, calls=[call])
    return script.result(call, f"result {word}").turn("more", f"more {word}", tokens=tokens(50, 5), cost_usd=0.5)


def _events() -> list[Event]:
    scripts = [
        _script("ours", "banjo", 0).complete(),
        _script("ours", "banjo2", 10).turn("again", "more again"),
        _script("theirs", SECRET, 20).complete(),
        _script("ours-too", f"{SECRET}2", 30).complete(),
        _script(None, f"{SECRET}3", 40).ask(f"open {SECRET}"),
    ]
    return [event for script in scripts for event in script.events]


@pytest.fixture(scope="module")
def url_on_postgres(postgres: PostgresServer) -> str:
    return stored_in(postgres, PostgresSink, _events())


@pytest.fixture(scope="module")
def url_on_clickhouse(old_clickhouse: ClickHouseServer) -> str:
    return stored_in(old_clickhouse, ClickHouseSink, _events())


@pytest.fixture(params=["postgres", "clickhouse"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"url_on_{request.param}"))


@pytest.fixture
def store(url: str) -> Iterator[Index]:
    yield from _opened(url)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Index]:
    yield from _opened(f"sqlite:{make_index(tmp_path, _events())}")


def _opened(url: str, tenant: str = "ours") -> Iterator[Index]:
    opened = open_store(url, Path("nowhere"), tenant=tenant)
    assert opened is not None
    with closing(opened):
        yield opened


def _same(own: Index, store: Index, ask: Callable[[Index], Any]) -> Any:
    expected, found = (msgspec.to_builtins(ask(index)) for index in (own, store))
    assert found == expected
    assert SECRET not in json.dumps(found)
    return expected


def _wanted(text: str) -> Filter:
    return of_tenant(parse_filter(text, NOW), "ours")


@pytest.mark.parametrize("text", FILTERS)
def test_a_tenant_sees_its_own(own: Index, store: Index, text: str) -> None:
    # As the dashboard asks; and as somebody would who forgot for whom.
    for wanted in (_wanted(text), parse_filter(text, NOW)):
        asks: list[Callable[[Index], Any]] = [
            lambda index, wanted=wanted: list_sessions(index, wanted, limit=None).items,
            lambda index, wanted=wanted: usage(index, wanted, ["day", "model"]),
            lambda index, wanted=wanted: latencies(index, wanted, ["client"]),
            lambda index, wanted=wanted: stream_gaps(index, wanted),
        ]
        if "model" not in text and "tag" not in text:
            asks.append(lambda index, wanted=wanted: list_exchanges(index, wanted, limit=None).items)
        for ask in asks:
            _same(own, store, ask)
    if "error" not in text:
        _same(own, store, lambda index: tool_usage(index, _wanted(text)))
        _same(own, store, lambda index: list_calls(index, _wanted(text), limit=None).items)


def test_it_is_not_nothing_that_it_sees(store: Index) -> None:
    assert len(list_sessions(store).items) == 2
    assert sum(one.requests for one in usage(store, _wanted(""))) == 5
    assert [one.tool for one in tool_usage(store, _wanted(""))] == ["Toolbanjo", "Toolbanjo2"]


@pytest.mark.parametrize("text", WORDS)
def test_search(own: Index, store: Index, text: str) -> None:
    def hits(index: Index) -> list[Any]:
        found: list[Any] = msgspec.to_builtins(search(index, _wanted(text)).items)
        return sorted(found, key=lambda hit: (hit["request_id"], hit["kind"], hit["snippet"]))

    expected = _same(own, store, hits) if text != SECRET else hits(store)
    assert bool(expected) == (text != SECRET)


def test_sessions_names_and_the_relays_time(own: Index, store: Index) -> None:
    for one in list_sessions(own, EVERYTHING).items:
        for ask in (read_detail, session_exchanges, session_calls, neighbours, find_session, find_exchange):
            _same(own, store, lambda index, ask=ask, name=one.session_id: ask(index, name))
    for field in sorted(FACETS):
        _same(own, store, lambda index, field=field: known_values(index, field))
    _same(own, store, recent_overhead)


def test_who_has_nothing_sees_nothing(url: str) -> None:
    for tenant in ("nobody", "our", "o'hara\\' OR 1=1 --", "?"):
        for index in _opened(url, tenant):
            assert list_sessions(index).items == []
            assert usage(index) == []
            assert known_values(index, "client") == []


def test_sql_of_their_own_is_for_the_whole_server(store: Index) -> None:
    assert isinstance(store, AskingIndex)
    with pytest.raises(SqlRefused):
        store.ask("SELECT * FROM sessions", 10, 1.0)


def test_what_a_statement_reads_is_narrowed_whatever_it_is_called() -> None:
    text = "SELECT 1 FROM sessions AS s FINAL JOIN tool_calls t ON 1 WHERE x IN (SELECT y FROM secrets WHERE 1)"
    found = narrowed(text, "'ours'")
    assert "FROM (SELECT t.* FROM sessions AS t FINAL WHERE t.tenant = 'ours') AS s JOIN" in found
    assert ") AS t ON 1" in found
    assert "FROM (SELECT t.* FROM secrets AS t WHERE 1 = 0) AS secrets WHERE 1" in found
