"""What is said to a ClickHouse cluster, and to whom."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest

from lunaroute.errors import LunarouteError, StoreUnavailable
from lunaroute.sinks.clickhouse.clustered import clustered_ddl
from lunaroute.sinks.clickhouse.connection import ClickHouse, Refused
from lunaroute.sinks.clickhouse.inserting import Inserting
from lunaroute.sinks.clickhouse.plugin import Options
from lunaroute.sinks.clickhouse.reading import rows_of
from lunaroute.sinks.clickhouse.schema import WRITTEN, ddl


class _Answering(BaseHTTPRequestHandler):
    status = 200
    answer = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _server(answer: bytes, status: int = 200) -> Iterator[str]:
    """Its address."""
    kind = type("Kind", (_Answering,), {"answer": answer, "status": status})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _nobody() -> Iterator[str]:
    """An address that nobody else gets, and where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_whoever_answers_is_asked_again() -> None:
    with (
        _nobody() as nobody,
        _server(b"first") as first,
        _server(b"second") as second,
        closing(ClickHouse(f"clickhouse://me:secret@{nobody},{first},{second}/db")) as server,
    ):
        assert [server.run(b"SELECT 1") for _ in range(2)] == [b"first", b"first"]
        server.go_on()
        assert server.run(b"SELECT 1") == b"second"
        server.go_on()
        assert server.run(b"SELECT 1") == b"first"
        assert server.name == f"clickhouse://{first}/db"


def test_who_refuses_is_not_passed_over() -> None:
    said = b"Code: 242, e.displayText() = DB::Exception: readonly"
    with (
        _server(said, 500) as first,
        _server(b"second") as second,
        closing(ClickHouse(f"clickhouse://{first},{second}/db")) as server,
        pytest.raises(Refused, match="readonly") as refused,
    ):
        server.run(b"INSERT")
    assert refused.value.code == 242


def test_where_nobody_answers_every_address_has_been_tried() -> None:
    with (
        _nobody() as one,
        _nobody() as other,
        closing(ClickHouse(f"clickhouse://{one},{other}/db")) as server,
        pytest.raises(StoreUnavailable, match=re.escape(other)),
    ):
        server.run(b"SELECT 1")


class _Cluster(ClickHouse):
    """Refuses the first inserts with these codes."""

    def __init__(self, *codes: int, sizes: Sequence[int] = (2,)) -> None:
        super().__init__("clickhouse://one,other/db")
        self._codes = list(codes)
        self._sizes = sizes
        self.inserts: list[tuple[str, bytes, Mapping[str, str | int] | None]] = []

    def run(self, statement: bytes, settings: Mapping[str, str | int] | None = None) -> bytes:
        if statement.startswith(b"SELECT"):
            return msgspec.json.encode({"meta": [{"name": "n", "type": "UInt64"}], "data": [[n] for n in self._sizes]})
        self.inserts.append((self.name, statement, settings))
        if self._codes:
            raise Refused("not now", self._codes.pop(0))
        return b""


def test_all_replicas_are_waited_for_and_no_block_is_passed_over() -> None:
    cluster = _Cluster(sizes=[3])
    Inserting(cluster, "team").insert("texts", b"{}")
    ((_, statement, settings),) = cluster.inserts
    assert statement == b"INSERT INTO texts FORMAT JSONEachRow\n{}"
    assert settings is not None
    assert settings["insert_quorum"] == 3
    assert settings["insert_distributed_sync"] == 1
    assert settings["insert_deduplicate"] == 0


def test_the_insert_of_another_node_is_waited_for() -> None:
    cluster = _Cluster(286, 286)
    Inserting(cluster, "team").insert("texts", b"{}")
    assert len(set(map(str, cluster.inserts))) == 1
    assert len(cluster.inserts) == 3


def test_where_a_cluster_refuses_the_identical_block_goes_to_the_next_address() -> None:
    cluster = _Cluster(242)
    inserting = Inserting(cluster, "team")
    with pytest.raises(Refused):
        inserting.insert("texts", b"{}")
    inserting.insert("texts", b"{}")
    first, second = cluster.inserts
    assert (first[0], second[0]) == ("clickhouse://one:8123/db", "clickhouse://other:8123/db")
    assert first[1:] == second[1:]


def test_a_single_server_is_told_nothing_of_all_this() -> None:
    server = _Cluster()
    Inserting(server, None).insert("texts", b"{}")
    assert server.inserts[0][2] == {}


@pytest.mark.parametrize(("sizes", "said"), [([], "no cluster team"), ([1, 2], "different numbers of replicas")])
def test_what_is_no_cluster_of_equal_shards_is_not_written_to(sizes: list[int], said: str) -> None:
    cluster = _Cluster(sizes=sizes)
    with pytest.raises(LunarouteError, match=said):
        Inserting(cluster, "team").insert("texts", b"{}")
    assert cluster.inserts == []


def test_an_answer_that_breaks_off_is_none() -> None:
    half = b'{"meta": [{"name": "n", "type": "UInt64"}], "data": [[1], Code: 209, e.displayText() = timeout'
    with (
        _server(half) as address,
        closing(ClickHouse(f"clickhouse://{address}/db")) as server,
        pytest.raises(StoreUnavailable, match="broke off"),
    ):
        rows_of(server, "SELECT n")


def test_addresses_may_be_of_any_kind() -> None:
    assert ClickHouse("clickhouse://").name == "clickhouse://127.0.0.1:8123/default"
    server = ClickHouse("clickhouses://[::1]:9,ch.internal/db")
    assert server.name == "clickhouse://::1:9/db"
    server.go_on()
    assert server.name == "clickhouse://ch.internal:8443/db"


@pytest.mark.parametrize("is_modern", [False, True])
def test_every_table_is_replicated_in_its_shard_and_reached_through_all_shards(is_modern: bool) -> None:
    statements = clustered_ddl("team", "db", is_modern=is_modern)
    assert all(" ON CLUSTER 'team' " in one for one in statements)
    for name in (*WRITTEN, "exchange_sums"):
        (local,) = (one for one in statements if one.startswith(f"CREATE TABLE IF NOT EXISTS `db`.{name}_local "))
        (reached,) = (one for one in statements if one.startswith(f"CREATE TABLE IF NOT EXISTS `db`.{name} "))
        path = f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/db/{name}', '{{replica}}'"
        assert path in local
        assert f"Distributed('team', 'db', '{name}_local'" in reached
        assert ("cityHash64(session_id)" in reached) is (name != "exchange_sums")
        version = WRITTEN[name].version if name in WRITTEN else None
        assert (f"'{{replica}}', {version})" in local) is (version is not None)


@pytest.mark.parametrize("is_modern", [False, True])
def test_a_cluster_has_the_names_of_a_single_server(is_modern: bool) -> None:
    def names(statements: list[str]) -> set[str]:
        created = re.compile(r"CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS (?:`db`\.)?(\w+)")
        return {found[1] for found in map(created.match, statements) if found}

    clustered = names(clustered_ddl("team", "db", is_modern=is_modern))
    assert {one for one in clustered if not one.endswith("_local")} == names(ddl(is_modern=is_modern))


@pytest.mark.parametrize("cluster", ["", "a b", "x'; DROP", "1"])
def test_a_cluster_has_a_name_that_needs_no_quoting(cluster: str) -> None:
    assert msgspec.convert({"url": "clickhouse://", "cluster": "my-team_1.eu"}, Options).cluster == "my-team_1.eu"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "clickhouse://", "cluster": cluster}, Options)
