"""A ClickHouse cluster of which a part is missing: what is acknowledged stays, what is not is written again, and sums
are right however often and however incompletely something was inserted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lunaroute.errors import LunarouteError, StoreUnavailable
from lunaroute.events import Event
from lunaroute.query.exchanges import list_exchanges
from lunaroute.query.index import open_index
from lunaroute.query.sessions import list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.clickhouse import ClickHouseIndex
from lunaroute.query.usage import usage
from lunaroute.sinks.clickhouse import inserting
from lunaroute.sinks.clickhouse.clustered import clustered_ddl
from lunaroute.sinks.clickhouse.connection import ClickHouse
from lunaroute.sinks.clickhouse.inserting import Inserting
from lunaroute.sinks.clickhouse.known import Stored
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from tests.fleet.long import only_long
from tests.fleet.stored import make_index, recorded_events
from tests.support.clickhouse import ChdbServer, ClickHouseServer
from tests.support.cluster import NAME, ClickHouseCluster
from tests.support.server import wait_until
from tests.support.zookeeper import free_port

pytestmark = [pytest.mark.fleet, only_long]

_PATIENCE_S = 180.0
_EVENTS = recorded_events()[:600]


@pytest.fixture
def expected(tmp_path: Path) -> Iterator[Index]:
    opened = open_index(make_index(tmp_path / "home", _EVENTS))
    assert opened is not None
    with closing(opened):
        yield opened


def test_the_next_address_is_taken_where_nobody_answers(clickhouse_cluster: ClickHouseCluster, expected: Index) -> None:
    addresses, _, database = clickhouse_cluster.new_database().removeprefix("clickhouse://").rpartition("/")
    url = f"clickhouse://127.0.0.1:{free_port()},{addresses}/{database}"
    with closing(ClickHouseSink(url, _refuse, cluster=NAME)) as sink:
        sink.open()
        sink.write_batch(_EVENTS)
    _check(url, expected)


def test_without_all_replicas_nothing_is_acknowledged_and_everything_is_answered(
    clickhouse_cluster: ClickHouseCluster, expected: Index
) -> None:
    url = clickhouse_cluster.new_database()
    with closing(ClickHouseSink(url, _refuse, cluster=NAME)) as sink:
        sink.open()
        sink.write_batch(_EVENTS[:300])
        with closing(ClickHouseIndex(url)) as index:
            before = _answers(index)
        for down in (clickhouse_cluster.servers[0][0], clickhouse_cluster.servers[1][1]):
            down.kill()
            try:
                with pytest.raises(StoreUnavailable):
                    sink.write_batch(_EVENTS[300:])
                with closing(ClickHouseIndex(url)) as index:
                    assert set(map(str, before[0])) <= set(map(str, _answers(index)[0]))
            finally:
                down.start()
        wait_until(lambda: _is_written(sink, _EVENTS[300:]), _PATIENCE_S)
    _check(url, expected)


def test_without_zookeeper_nothing_is_acknowledged_and_everything_is_answered(
    clickhouse_cluster: ClickHouseCluster, expected: Index
) -> None:
    url = clickhouse_cluster.new_database()
    with closing(ClickHouseSink(url, _refuse, cluster=NAME)) as sink:
        sink.open()
        sink.write_batch(_EVENTS[:300])
        with closing(ClickHouseIndex(url)) as index:
            before = _answers(index)
            clickhouse_cluster.zookeeper.kill()
            try:
                with pytest.raises(StoreUnavailable):
                    sink.write_batch(_EVENTS[300:])
                assert _answers(index) == before
            finally:
                clickhouse_cluster.zookeeper.start()
        wait_until(lambda: _is_written(sink, _EVENTS[300:]), _PATIENCE_S)
    _check(url, expected)


def test_sums_have_what_their_view_had_missed_when_an_insert_is_repeated(
    clickhouse_cluster: ClickHouseCluster, expected: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an insert that ended between its rows and the view's: the replicas have seen these blocks."""
    url = clickhouse_cluster.new_database()
    view = f"{url.rpartition('/')[2]}.exchange_sums_of_rows"
    inserted: list[tuple[str, bytes]] = []
    with closing(ClickHouseSink(url, _refuse, cluster=NAME)) as sink:
        sink.open()
        for server in clickhouse_cluster.all:
            server.execute(f"DETACH TABLE {view}")
        with monkeypatch.context() as patched:
            insert = Inserting.insert
            patched.setattr(Inserting, "insert", lambda self, *block: (inserted.append(block), insert(self, *block)))
            sink.write_batch(_EVENTS)
        for server in clickhouse_cluster.all:
            server.execute(f"ATTACH TABLE {view}")
    with closing(ClickHouseIndex(url)) as index:
        assert index.execute("SELECT count() FROM hourly_stats").fetchone()[0] == 0
    with closing(ClickHouse(url)) as server:
        for _ in range(2):
            for table, block in inserted:
                Inserting(server, NAME).insert(table, block)
    _check(url, expected)


def test_what_is_stored_is_read_back_from_a_replica_that_has_it(
    clickhouse_cluster: ClickHouseCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each shard is made to be behind, as one is whose disk has lost its latest files."""
    url = clickhouse_cluster.new_database()
    database = url.rpartition("/")[2]
    behind = [replicas[1] for replicas in clickhouse_cluster.servers]
    delay = f"SELECT max(absolute_delay) > 10 FROM system.replicas WHERE database = '{database}'"
    with closing(ClickHouseSink(url, _refuse, cluster=NAME)) as sink:
        sink.open()
        sink.write_batch(_EVENTS[:200])
        for server in behind:
            server.execute(f"SYSTEM STOP REPLICATION QUEUES {database}.sessions_local")
        with monkeypatch.context() as patched:
            patched.setattr(inserting, "_settings", lambda *_: {"insert_distributed_sync": 1, "insert_deduplicate": 0})
            for server in clickhouse_cluster.all:  # a replica that is written to itself has what is written
                if server not in behind:
                    with closing(ClickHouseSink(clickhouse_cluster.url(database, server), cluster=NAME)) as other:
                        other.write_batch(_EVENTS)
        wait_until(lambda: all(server.execute(delay) == b"1\n" for server in behind), _PATIENCE_S)
    last: dict[str, int] = {}
    for event in _EVENTS:
        last[event.session_id] = event.seq
    for _ in range(8):
        with closing(ClickHouse(url)) as connection:
            stored = Stored(connection)
            stored.load(_EVENTS)
        read = {session_id: stored.session(session_id) for session_id in last}
        assert {session_id: row and row.last_seq for session_id, row in read.items()} == last
    for server in behind:
        server.execute(f"SYSTEM START REPLICATION QUEUES {database}.sessions_local")


def test_tables_of_a_cluster_are_not_taken_for_those_of_a_server(
    clickhouse_cluster: ClickHouseCluster, old_clickhouse: ClickHouseServer
) -> None:
    """They would be written to without waiting for anybody."""
    clustered, single = clickhouse_cluster.new_database(), old_clickhouse.new_database()
    with closing(ClickHouseSink(clustered, cluster=NAME)) as right, closing(ClickHouseSink(clustered)) as wrong:
        right.open()
        with pytest.raises(LunarouteError, match="those of a cluster"):
            wrong.open()
    with closing(ClickHouseSink(single)) as right, closing(ClickHouseSink(single, cluster=NAME)) as wrong:
        right.open()
        with pytest.raises(LunarouteError, match="of a single server"):
            wrong.open()
    nobodys = ClickHouseSink(clickhouse_cluster.new_database(), cluster="nobodys")
    with closing(nobodys), pytest.raises(LunarouteError, match="nobodys"):
        nobodys.open()


def test_what_a_cluster_shows_of_its_tables_is_what_can_be_asked(clickhouse_cluster: ClickHouseCluster) -> None:
    url = clickhouse_cluster.new_database()
    with closing(ClickHouseSink(url, cluster=NAME)) as sink:
        sink.open()
    with closing(ClickHouseIndex(url)) as index:
        tables = {row[0] for row in index.ask(index.schema_sql, 1000, 30)[1]}
    assert {"sessions", "session_stats", "hourly_stats", "tool_calls"} <= tables
    assert not [name for name in tables if str(name).endswith("_local")]


def test_servers_of_today_understand_the_statements(new_clickhouse: ChdbServer) -> None:
    """They are parsed; there is no cluster of them here to execute them."""
    for statement in clustered_ddl(NAME, "store", is_modern=True):
        assert b"Create" in new_clickhouse.execute(f"EXPLAIN AST {statement}")


def _check(url: str, expected: Index) -> None:
    with closing(ClickHouseIndex(url)) as index:
        assert _answers(index) == _answers(expected)
        (theirs,), (ours,) = usage(expected), usage(index)
    assert (ours.requests, ours.total_tokens, ours.tool_call_count) == (
        theirs.requests,
        theirs.total_tokens,
        theirs.tool_call_count,
    )
    assert ours.total_cost_usd == pytest.approx(theirs.total_cost_usd)


def _answers(index: Index) -> tuple[list[Any], list[Any]]:
    """Without durations, which servers of 2018 read to the last digit but one."""
    exchanges = list_exchanges(index, limit=None).items
    return (
        [(one.request_id, one.session_id, one.started_at, one.outcome, one.total_tokens) for one in exchanges],
        [(one.session_id, one.request_count, one.total_tokens) for one in list_sessions(index, limit=None).items],
    )


def _is_written(sink: ClickHouseSink, events: Sequence[Event]) -> bool:
    try:
        sink.write_batch(events)
    except StoreUnavailable:
        return False
    return True


def _refuse(event: object, reason: str) -> None:
    raise AssertionError(f"{event}: {reason}")
