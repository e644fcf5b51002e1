"""The stores of several machines keep the contract of all sinks, on servers of the tests' own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.sinks.base import Sink
from lunaroute.sinks.clickhouse.connection import ClickHouse
from lunaroute.sinks.clickhouse.reading import rows_of
from lunaroute.sinks.clickhouse.schema import WRITTEN
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.postgres.connection import connect, run
from lunaroute.sinks.postgres.schema import KEYS
from lunaroute.sinks.postgres.sink import PostgresSink
from lunaroute.testing.sink_contract import SinkContract
from tests.builders import TEN_OCLOCK, Call, SessionScript
from tests.support.clickhouse import ChdbServer, ClickHouseServer
from tests.support.cluster import NAME, ClickHouseCluster
from tests.support.postgres import PostgresServer

from .long import only_long

pytestmark = pytest.mark.fleet


class TestPostgres(SinkContract):
    @pytest.fixture(autouse=True)
    def _on_a_server(self, postgres: PostgresServer) -> None:
        self._server = postgres
        self._urls: dict[Path, str] = {}

    def make(self, place: Path) -> Sink:
        return PostgresSink(self._url(place))

    def read(self, place: Path) -> dict[str, list[tuple[Any, ...]]]:
        return run(self._read(self._url(place)))

    def test_a_result_that_is_stored_before_its_call_is_counted_with_it(self, tmp_path: Path) -> None:
        """It may stand in another session, which is shipped first."""
        call = Call("Bash", "call_1", '{"command":"ls"}')
        script = (
            SessionScript("caller").turn("run it", calls=[call]).result(call, "gone", execution_ms=7.5, success=False)
        )
        helper = SessionScript("helper", TEN_OCLOCK - timedelta(minutes=5)).turn("for others")
        moved = {"session_id": helper.session_id, "request_id": helper.events[1].request_id, "seq": len(helper.events)}
        helper.events.append(msgspec.structs.replace(script.events.pop(), **moved))
        found = []
        for number, sessions in enumerate(([script, helper], [helper, script])):
            sink = self.make(tmp_path / str(number))
            sink.open()
            for session in sessions:
                sink.write_batch(session.events)
            sink.close()
            found.append(self.read(tmp_path / str(number))["tool_calls"])
        assert found[1] == found[0]
        assert 7.5 in found[0][0]

    async def _read(self, url: str) -> dict[str, list[tuple[Any, ...]]]:
        connection = await connect(url)
        try:
            found = {table: await connection.fetch(f"SELECT * FROM {table}") for table in KEYS}
            # Numbers are given out by a sequence, which has gaps; the order they give is compared.
            found["texts"] = [tuple(row)[1:] for row in sorted(found["texts"], key=lambda row: row["text_id"])]
            return {
                name: list(map(tuple, rows)) if name == "texts" else sorted(map(tuple, rows), key=repr)
                for name, rows in found.items()
            }
        finally:
            await connection.close()

    def _url(self, place: Path) -> str:
        if place not in self._urls:
            self._urls[place] = self._server.new_database()
        return self._urls[place]


class _ClickHouse(SinkContract):
    _server: ClickHouseServer | ChdbServer | ClickHouseCluster
    _urls: dict[Path, str]
    _cluster: str | None = None

    def make(self, place: Path) -> Sink:
        return ClickHouseSink(self._url(place), cluster=self._cluster)

    def read(self, place: Path) -> dict[str, list[tuple[Any, ...]]]:
        server = ClickHouse(self._url(place))
        found = {name: rows_of(server, f"SELECT * FROM {name} FINAL") for name in WRITTEN}
        found |= {
            name: rows_of(server, f"SELECT * FROM {name}") for name in ("hourly_stats", "daily_stats", "tool_calls")
        }
        server.close()
        return {name: sorted(rows, key=repr) for name, rows in found.items()}

    def _url(self, place: Path) -> str:
        if place not in self._urls:
            self._urls[place] = self._server.new_database()
        return self._urls[place]


class TestOldClickHouse(_ClickHouse):
    @pytest.fixture(autouse=True)
    def _on_a_server(self, old_clickhouse: ClickHouseServer) -> None:
        self._server, self._urls = old_clickhouse, {}


@only_long
class TestNewClickHouse(_ClickHouse):
    @pytest.fixture(autouse=True)
    def _on_a_server(self, new_clickhouse: ChdbServer) -> None:
        self._server, self._urls = new_clickhouse, {}


@only_long
class TestClusteredClickHouse(_ClickHouse):
    _cluster = NAME

    @pytest.fixture(autouse=True)
    def _on_servers(self, clickhouse_cluster: ClickHouseCluster) -> None:
        self._server, self._urls = clickhouse_cluster, {}
