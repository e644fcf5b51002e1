"""The store: some sessions written by the real sink, and multiplied inside the server.

In: a folder, and how much. Out: a chDB database `fleet` in it, behind HTTP while `serving` lasts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from lunaroute.events import Event
from lunaroute.simulator.store import seeded_sessions
from lunaroute.sinks.clickhouse.connection import ClickHouse
from lunaroute.sinks.clickhouse.reading import rows_of
from lunaroute.sinks.clickhouse.schema import WRITTEN
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.clickhouse.summing import Summing

from .copies import STEP_S, copies_of

_SPAN: Final = timedelta(days=90)
_TOGETHER: Final = 10
"""Copies that one statement makes."""
_BATCH_EVENTS: Final = 20_000
_TIMEOUT_S: Final = 3600.0


class Served(msgspec.Struct, frozen=True):
    address: str
    """Without a database's name."""
    process_id: int

    def cpu_ms(self) -> float:
        """Processor time that the engine has taken so far."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """The chDB that has the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.support.chdb_server", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Served(f"clickhouse://127.0.0.1:{int(process.stdout.readline())}", process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def make(address: str, sessions: int, copies: int) -> None:
    """Raises StoreUnavailable."""
    server = ClickHouse(f"{address}/default", timeout_s=_TIMEOUT_S)
    for database in ("seed", "fleet"):
        server.run(f"CREATE DATABASE {database}".encode())
    _seed(f"{address}/seed", sessions, datetime.now(UTC) - timedelta(seconds=copies * STEP_S))
    ClickHouseSink(f"{address}/fleet").open()
    for table in WRITTEN:
        columns = ", ".join(one.name for one in WRITTEN[table].columns)
        for first in range(0, copies, _TOGETHER):
            began = time.monotonic()
            rows = copies_of(table, WRITTEN[table].columns, "seed", first, min(first + _TOGETHER, copies))
            server.run(f"INSERT INTO fleet.{table} ({columns}) {rows}".encode())
            print(f"{table}: copies from {first}: {time.monotonic() - began:.0f} s", flush=True)
    for table in (*WRITTEN, "exchange_sums"):
        began = time.monotonic()
        server.run(f"OPTIMIZE TABLE fleet.{table} FINAL".encode())
        print(f"{table}: merged in {time.monotonic() - began:.0f} s", flush=True)
    Summing(ClickHouse(f"{address}/fleet", timeout_s=_TIMEOUT_S)).sum_all()
    server.run(b"DROP DATABASE seed")
    server.close()


def exchanges_in(address: str) -> int | None:
    """None = there is no store yet. Raises StoreUnavailable."""
    server = ClickHouse(f"{address}/default")
    try:
        if not rows_of(server, "SELECT name FROM system.databases WHERE name = 'fleet'"):
            return None
        return int(rows_of(server, "SELECT count() FROM fleet.session_stats")[0][0])
    finally:
        server.close()


def _seed(url: str, sessions: int, end: datetime) -> None:
    sink = ClickHouseSink(url)
    sink.open()
    batch: list[Event] = []
    for session in seeded_sessions(sessions, 1, end - _SPAN, end):
        batch += session.events
        if len(batch) >= _BATCH_EVENTS:
            sink.write_batch(batch)
            batch = []
    sink.write_batch(batch)
    sink.close()
