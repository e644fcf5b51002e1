"""How many exchanges a second a core of ours puts into a store: into SQLite, and into the stores whose URLs are given.

    python bench/store_ingest.py [--sessions 1500] [--batch 500] [postgresql://… | clickhouse://… …]

The databases must be empty. CPU time is that of this process, so the store's own is not in it, and other work on the
machine disturbs it little; wall time is what a single shipper would have needed, on this machine as it is.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lunaroute.events import Event
from lunaroute.events.types import ResponseRecorded
from lunaroute.simulator.seeded_session import SeededSession
from lunaroute.sinks.base import Sink
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.postgres.sink import PostgresSink
from lunaroute.sinks.sqlite.sink import SqliteSink


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what putting events into stores costs.")
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--sessions", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=500, help="events; the shipper hands over at most 500")
    options = parser.parse_args()
    events = _events(options.sessions)
    exchanges = sum(isinstance(event, ResponseRecorded) for event in events)
    print(f"{exchanges:,} exchanges, {len(events):,} events, batches of {options.batch}")
    with tempfile.TemporaryDirectory() as folder:
        _measure("sqlite", SqliteSink(Path(folder) / "sessions.db", Path(folder)), events, exchanges, options.batch)
    for url in options.urls:
        sink = PostgresSink(url) if url.startswith("postgres") else ClickHouseSink(url)
        _measure(url.partition(":")[0], sink, events, exchanges, options.batch)


def _events(sessions: int) -> list[Event]:
    dice = random.Random(3)
    begin = datetime.now(UTC) - timedelta(days=10)
    return [
        event
        for number in range(sessions)
        for event in SeededSession(
            f"b{number}", begin + timedelta(minutes=number), 8, random.Random(dice.random())
        ).events
    ]


def _measure(name: str, sink: Sink, events: Sequence[Event], exchanges: int, size: int) -> None:
    sink.open()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for start in range(0, len(events), size):
        sink.write_batch(events[start : start + size])
    sink.sync()
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    sink.close()
    print(f"{name:12} {exchanges / cpu_s:8,.0f} exchanges per CPU second, {exchanges / wall_s:8,.0f} per second")


if __name__ == "__main__":
    main()
