"""PostgreSQL as a sink. A connection that breaks is made again with the next batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lunaroute.errors import StoreUnavailable
from lunaroute.events import Event

from .connection import connect, driver, run, unavailable
from .migrations import migrate
from .upsert import make_stages
from .writing import Rejected, write_events


class PostgresSink:
    """Sink over one database."""

    name = "postgres"

    def __init__(self, url: str, on_rejected: Rejected | None = None) -> None:
        """`on_rejected` is told of each event that could not be stored; by default a line on stderr says so."""
        self._url = url
        self._on_rejected = on_rejected or _say_rejected
        self._connection: Any = None
        self._months: set[str] = set()

    def open(self) -> None:
        """Connect, and create or migrate the tables. Raises StoreUnavailable, IndexTooNew, and LunarouteError where
        asyncpg is not installed."""
        self._connect()

    def write_batch(self, events: Sequence[Event]) -> None:
        """One transaction. Raises StoreUnavailable, having stored nothing or, where only the answer was lost, all."""
        asyncpg = driver()
        try:
            self._connect()
            run(write_events(self._connection, events, self._months, self._on_rejected))
        except StoreUnavailable:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.close()
            raise unavailable(self._url, error) from error

    def sync(self) -> None:
        """Nothing to do: what was committed is on the server's disk."""

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken already; a server that is gone is not waited for
                run(connection.close(timeout=2.0))

    def _connect(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        asyncpg = driver()
        connection = run(connect(self._url))
        try:
            run(migrate(connection))
            run(make_stages(connection))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            connection.terminate()
            raise unavailable(self._url, error) from error
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection


def _say_rejected(event: Event, reason: str) -> None:
    print(f"lunaroute: not stored: {event.session_id} {event.seq}: {reason}", file=sys.stderr)
