"""A store as years of use would leave it, made in minutes: events of the real types, written by the real sinks.

In: how many sessions, a seed, the moment at which the last one ends. Out: `<home>/sessions` with an index of all
sessions and, for every n-th, its file. The same arguments give the same store.

    python -m lunaroute.simulator.store HOME --sessions 100000
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lunaroute.events import Event
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import make_private_dir
from lunaroute.sinks.sqlite.scratch import finish_scratch, open_scratch
from lunaroute.sinks.sqlite.store import write_events

from .seeded_session import SeededSession

_BATCH_EVENTS = 3000
_SPAN = timedelta(days=90)


def seed_store(
    home: Path, session_count: int, *, seed: int = 1, files_every: int = 1, until: datetime | None = None
) -> int:
    """Make the store; the number of its exchanges. `<home>/sessions` must not exist. Raises OSError, sqlite3.Error."""
    sessions_dir = home / "sessions"
    make_private_dir(home)
    make_private_dir(sessions_dir)
    end = until or datetime.now(UTC)
    files = JsonlSink(sessions_dir)
    files.open()
    connection = open_scratch(sessions_dir / "sessions.db")
    exchange_count, batch = 0, list[Event]()
    try:
        for number, session in enumerate(seeded_sessions(session_count, seed, end - _SPAN, end)):
            exchange_count += session.exchange_count
            if number % files_every == 0:
                files.write_batch(session.events)
            batch += session.events
            if len(batch) >= _BATCH_EVENTS:
                write_events(connection, batch, _fail)
                batch = []
        write_events(connection, batch, _fail)
        finish_scratch(connection)
    finally:
        connection.close()
        files.close()
    return exchange_count


def seeded_sessions(count: int, seed: int, begin: datetime, end: datetime) -> Iterator[SeededSession]:
    """In the order of their beginnings."""
    dice = random.Random(seed)
    starts = sorted(begin + (end - begin) * dice.random() for _ in range(count))
    for number, start in enumerate(starts):
        name = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
        exchanges = min(400, max(1, round(dice.lognormvariate(1.7, 1.1))))
        yield SeededSession(name, start, exchanges, random.Random(name))


def _fail(event: Event, reason: str) -> None:
    raise ValueError(f"{event.session_id} {event.seq}: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a large store of invented sessions.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files-every", type=int, default=1, metavar="N", help="a file for every N-th session only")
    options = parser.parse_args()
    if (options.home / "sessions").exists():
        sys.exit(f"{options.home / 'sessions'} is there already")
    began = time.monotonic()
    count = seed_store(options.home, options.sessions, seed=options.seed, files_every=options.files_every)
    print(f"{count} exchanges in {options.sessions} sessions, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
