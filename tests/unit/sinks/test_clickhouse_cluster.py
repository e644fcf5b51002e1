"""What is said to a ClickHouse cluster, and to whom."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest

from lunaroute.errors import StoreUnavailable
from lunaroute.sinks.clickhouse.clustered import clustered_ddl
from lunaroute.sinks.clickhouse.connection import ClickHouse, Refused
from lunaroute.sinks.clickhouse.plugin import Options
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
