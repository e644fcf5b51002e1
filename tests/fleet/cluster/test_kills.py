"""Three nodes, a ClickHouse cluster and an object store under load; one part after the other is killed. In the end
everything that the provider saw is in the store once, and can be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from lunaroute.archive.push import pull, verify_archive
from lunaroute.archive.store import ArchiveStore
from lunaroute.errors import LunarouteError
from lunaroute.query.exchanges import list_exchanges
from lunaroute.query.index import open_index
from lunaroute.query.sessions import list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.clickhouse import ClickHouseIndex
from lunaroute.query.usage import usage
from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator
from tests.fleet.long import only_long
from tests.support.clickhouse import ClickHouseServer
from tests.support.cluster import ClickHouseCluster
from tests.support.faults import check_recordings
from tests.support.ledger import inclusive
from tests.support.server import RecordedSession, clean_environment, sessions, wait_until

from .node import Agents, Node
from .objects import ObjectStore, object_store

pytestmark = [pytest.mark.fleet, only_long]

_PATIENCE_S = 240.0
_NODES = 3
_MEANWHILE = 20
"""Exchanges of each node between two accidents, and while something is down."""


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with object_store(tmp_path) as store:
        for name, value in store.variables.items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.fixture
def provider() -> Iterator[RunningSimulator]:
    with start_simulator(delay_factor=0.05, seed="fleet") as running:
        yield running


class Fleet:
    """The nodes with their agents, and what can befall them."""

    def __init__(self, nodes: list[Node], agents: list[Agents], provider: RunningSimulator, store: str) -> None:
        self.nodes = nodes
        self._agents = agents
        self._provider = provider
        self._store = store

    def befall(self, strike: Callable[[], None], mend: Callable[[], None]) -> None:
        """Under load: something is killed, traffic goes on without it, it is there again, and what was recorded
        meanwhile gets to the store."""
        self._go_on()
        strike()
        try:
            self._go_on()
        finally:
            mend()
        seen = len(self._provider.ledger())
        wait_until(lambda: self.stored_count() >= seen, _PATIENCE_S)

    def _go_on(self) -> None:
        """Agents of all nodes that are there get answers."""
        wanted = [len(one.answered) + _MEANWHILE for one in self._agents]
        for node, agents, count in zip(self.nodes, self._agents, wanted, strict=True):
            if node.server.process.poll() is None:
                wait_until(lambda agents=agents, count=count: len(agents.answered) >= count, _PATIENCE_S)  # type: ignore[misc]

    def stored_count(self) -> int:
        try:
            with closing(ClickHouseIndex(self._store)) as store:
                return int(store.execute("SELECT count() FROM session_stats FINAL WHERE success >= 0").fetchone()[0])
        except LunarouteError:
            return 0  # no tables yet, or not just now


def test_what_was_seen_is_stored_once_whatever_is_killed(
    clickhouse_cluster: ClickHouseCluster, objects: ObjectStore, provider: RunningSimulator, tmp_path: Path
) -> None:
    cluster, store = clickhouse_cluster, clickhouse_cluster.new_database()
    with ExitStack() as stack:
        homes = [tmp_path / f"node-{number}" for number in range(_NODES)]
        nodes = [stack.enter_context(Node(home, provider, store, objects)) for home in homes]
        with ExitStack() as load:
            agents = [load.enter_context(Agents(node)) for node in nodes]
            fleet = Fleet(nodes, agents, provider, store)
            fleet.befall(nodes[0].kill_recorder, lambda: None)
            fleet.befall(nodes[1].kill_whole, nodes[1].start)
            fleet.befall(nodes[2].kill_shipper, lambda: None)
            for down in ([cluster.servers[0][0]], [cluster.servers[1][1]], cluster.servers[1]):
                fleet.befall(lambda down=down: _all(down, "kill"), lambda down=down: _all(down, "start"))  # type: ignore[misc]
            fleet.befall(cluster.zookeeper.kill, cluster.zookeeper.start)
            wait_until(lambda: list(ArchiveStore(objects.url).entries()), _PATIENCE_S)
            pushed = ArchiveStore(objects.url).entries().keys()
            fleet.befall(objects.kill, objects.start)
            assert not objects.keeps_objects or pushed <= ArchiveStore(objects.url).entries().keys()
        wait_until(lambda: fleet.stored_count() == sum(node.answered_count() for node in nodes), _PATIENCE_S)
    recorded = [session for home in homes for session in check_recordings(home)]
    answered = {marker for one in agents for marker in one.answered}
    assert answered <= {one.request.request_text for session in recorded for one in session.exchanges()}
    with closing(ClickHouseIndex(store)) as index:
        _check_ledger(index, provider.ledger(), sum(node.kills for node in nodes))
        _check_sums(index, recorded)
        _check_rows(index, homes)
    _check_replicas(cluster, store)
    _check_archive(objects, homes, recorded, tmp_path / "elsewhere")


def _all(servers: list[ClickHouseServer], what: str) -> None:
    for server in servers:
        getattr(server, what)()


def _check_ledger(index: Index, ledger: list[LedgerEntry], kills: int) -> None:
    """Every exchange the provider saw is there once, with what was said and used where it came to its end."""
    columns = (
        "request_body_sha256",
        "response_body_sha256",
        "outcome",
        "input_tokens",
        "output_tokens",
        "total_tokens",
    )
    rows = index.execute(f"SELECT {', '.join(columns)} FROM session_stats FINAL ORDER BY started_at").fetchall()
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert len(found) == len(rows)
    seen = {entry.request_sha256: entry for entry in ledger if entry.request_sha256}
    assert len(seen) > _NODES * _MEANWHILE
    assert seen.keys() <= found.keys()
    completed = {sha: row for sha, row in found.items() if row["outcome"] == "completed"}
    assert completed.keys() <= seen.keys()
    for sha, row in completed.items():
        told = inclusive(seen[sha])
        assert row["response_body_sha256"] == seen[sha].response_sha256
        assert (row["input_tokens"], row["output_tokens"]) == (told["input"], told["output"])
    assert len(found) - len(completed) <= kills * 3  # what was under way on a node that was killed
    theirs = sum(inclusive(seen[sha])["total"] or 0 for sha in completed)
    ours = index.execute("SELECT sum(total_tokens) FROM session_stats FINAL WHERE outcome = 'completed'").fetchone()[0]
    assert ours == theirs > 0


def _check_sums(index: Index, recorded: list[RecordedSession]) -> None:
    """However they are added up."""
    exchanges = [one for session in recorded for one in session.exchanges()]
    tokens = sum(one.response.stats.tokens.total_tokens or 0 for one in exchanges)
    for sums in (
        "SELECT sum(requests), sum(total_tokens) FROM hourly_stats",
        "SELECT sum(requests), sum(total_tokens) FROM daily_stats",
        "SELECT sum(request_count), sum(total_tokens) FROM sessions FINAL",
        "SELECT count(), sum(total_tokens) FROM session_stats FINAL",
    ):
        assert tuple(index.execute(sums).fetchone()) == (len(exchanges), tokens), sums
    (row,) = usage(index)
    assert (row.requests, row.total_tokens) == (len(exchanges), tokens)


def _check_rows(index: Index, homes: list[Path]) -> None:
    """Row by row what the nodes' own indexes have."""
    expected: list[Any] = []
    ended: list[Any] = []
    for home in homes:
        opened = open_index(home / "sessions" / "sessions.db")
        assert opened is not None
        with closing(opened):
            expected += _exchanges(opened)
            ended += _sessions(opened)
    assert _exchanges(index) == sorted(expected)
    assert _sessions(index) == sorted(ended)


def _exchanges(index: Index) -> list[Any]:
    found = list_exchanges(index, limit=None).items
    return sorted((one.request_id, one.session_id, one.started_at, one.outcome, one.total_tokens) for one in found)


def _sessions(index: Index) -> list[Any]:
    found = list_sessions(index, limit=None).items
    return sorted((one.session_id, one.completed_at, one.request_count, one.total_tokens) for one in found)


def _check_replicas(cluster: ClickHouseCluster, store: str) -> None:
    """Whichever replica is asked, it has the same."""
    database = store.rpartition("/")[2]
    for table in ("session_stats", "exchange_sums", "texts", "sessions"):
        statement = f"SELECT count(), sum(cityHash64(*)) FROM {database}.{table}_local FINAL"
        for replicas in cluster.servers:
            wait_until(lambda s=statement, r=replicas: len({one.execute(s) for one in r}) == 1, _PATIENCE_S)  # type: ignore[misc]


def _check_archive(objects: ObjectStore, homes: list[Path], recorded: list[RecordedSession], elsewhere: Path) -> None:
    """Every session can be read from the object store, too, and is the same there."""
    # A store without a disk may also have been killed between an object and the manifest that names it.
    check = [] if objects.keeps_objects else ["--check"]
    for home in homes:
        _run("archive", "push", *check, f"--home={home}")
    archive = ArchiveStore(objects.url)
    report = verify_archive(archive)
    assert report.problems == []
    assert report.verified_count >= len(recorded)
    assert pull(archive, elsewhere / "sessions").problems == []
    here = {one.started.session_id: one.events for one in recorded}
    assert {one.started.session_id: one.events for one in sessions(elsewhere)} == here
    away = sessions(homes[0])[0]
    away.path.unlink()
    assert away.exchanges()[0].request.request_text in _run(
        "sessions", "show", away.started.session_id, f"--home={homes[0]}"
    )


def _run(*words: str) -> str:
    command = [sys.executable, "-m", "lunaroute", *words]
    done = subprocess.run(command, env=clean_environment(), check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
