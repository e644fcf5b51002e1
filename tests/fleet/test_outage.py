"""A store's server is killed under traffic: nobody who talks to a provider notices, nothing is missing in the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bench.outage.__main__ import GOAL
from bench.outage.run import run_outage

from lunaroute.errors import LunarouteError
from lunaroute.query.exchanges import list_exchanges
from lunaroute.query.index import open_index
from lunaroute.query.sessions import list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store
from lunaroute.query.usage import usage
from lunaroute.shipping.worker import read_shipping
from lunaroute.simulator import start_simulator
from tests.integration.test_reprice_live import ask
from tests.support.clickhouse import ClickHouseServer
from tests.support.postgres import PostgresServer, find_postgres
from tests.support.server import recorded, serving, wait_until

pytestmark = pytest.mark.fleet

StoreServer = PostgresServer | ClickHouseServer
_PATIENCE_S = 120.0
RATE_PER_S = 20.0
LONG_OUTAGE_S = 300.0
SHORT_OUTAGE_S = 6.0


def _postgres() -> PostgresServer:
    pytest.importorskip("asyncpg", reason="needs asyncpg (make test-fleet installs it)")
    programs = find_postgres()
    if programs is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt-get install postgresql)")
    return PostgresServer(programs)


def _clickhouse() -> ClickHouseServer:
    if shutil.which("clickhouse-server") is None:
        pytest.skip("needs clickhouse-server (Debian: apt-get install clickhouse-server)")
    return ClickHouseServer()


@pytest.fixture(params=[_postgres, _clickhouse], ids=["postgres", "clickhouse"])
def server(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    make: Callable[[], StoreServer] = request.param
    with make() as started:
        yield started


def test_what_passes_while_a_store_is_down_is_in_it_afterwards_once(server: StoreServer, tmp_path: Path) -> None:
    url = server.new_database()
    name = url.partition(":")[0].replace("postgresql", "postgres")
    home = tmp_path / "home"
    home.mkdir()
    # Backfill: without it, what passes before the shipper's first look is none of the sink's.
    sink = f'[sinks.{name}]\nurl = "{url}"\nbackfill = true\n'
    (home / "config.toml").write_text(f"[sessions]\nidle_timeout_s = 1.0\n{sink}")
    with start_simulator(seed="outage") as provider, serving(home, {"anthropic": provider.base_url}) as relay:
        for number in range(4):
            ask(relay.base_url, f"before-{number}")
        wait_until(lambda: _count(url) == 4, _PATIENCE_S)

        server.kill()
        for number in range(6):
            ask(relay.base_url, f"before-{number}")  # some sessions go on, some are new
        recorded(home, 10)
        wait_until(lambda: _is_failing(home, name), _PATIENCE_S)
        told = [line for line in relay.said.splitlines() if f"sink {name}: " in line]
        assert len(told) == 1, relay.said
        assert told[0].endswith("; trying again")
        assert url.partition("?")[0].rpartition("/")[2] in told[0]

        server.start()
        ask(relay.base_url, "after")
        recorded(home, 11)
        wait_until(lambda: _count(url) == 11, _PATIENCE_S)
    with closing(_opened(url)) as store, closing(_index(home)) as index:
        wait_until(lambda: _over(store) == _over(index) > 0, _PATIENCE_S)
        assert _exchanges(store) == _exchanges(index)
        (mine,), (theirs,) = usage(store), usage(index)
        assert (mine.requests, mine.total_tokens) == (theirs.requests, theirs.total_tokens)
        assert mine.total_cost_usd == pytest.approx(theirs.total_cost_usd)


@pytest.mark.parametrize("is_paused", [False, True], ids=["killed", "paused"])
def test_under_load_it_catches_up_and_has_everything_once(server: StoreServer, tmp_path: Path, is_paused: bool) -> None:
    is_long = bool(os.environ.get("TEST_FLEET_LONG")) and not is_paused
    outage = run_outage(
        server,
        tmp_path / "home",
        rate_per_s=RATE_PER_S,
        outage_s=LONG_OUTAGE_S if is_long else SHORT_OUTAGE_S,
        is_paused=is_paused,
    )
    print(outage)
    assert outage.backlog > 0
    # In some seconds it is not the store that counts, but when the shipper tries again.
    assert not is_long or outage.speed >= GOAL


def _opened(url: str) -> Index:
    opened = open_store(url, Path("nowhere"))
    assert opened is not None
    return opened


def _index(home: Path) -> Index:
    opened = open_index(home / "sessions" / "sessions.db")
    assert opened is not None
    return opened


def _count(url: str) -> int:
    try:
        opened = _opened(url)
    except LunarouteError:
        return 0  # the shipper has not made the tables yet
    with closing(opened) as store:
        return sum(one.outcome is not None for one in list_exchanges(store, limit=None).items)


def _exchanges(index: Index) -> list[tuple[object, ...]]:
    """Without durations: servers of 2018 read decimal fractions to the last digit but one."""
    found = list_exchanges(index, limit=None).items
    return [(one.request_id, one.session_id, one.started_at, one.outcome, one.total_tokens) for one in found]


def _over(index: Index) -> int:
    return sum(one.completed_at is not None for one in list_sessions(index, limit=None).items)


def _is_failing(home: Path, name: str) -> bool:
    shipping = read_shipping(home / "run")
    return shipping is not None and shipping.sinks[name].is_failing
