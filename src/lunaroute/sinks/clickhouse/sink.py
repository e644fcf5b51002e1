"""ClickHouse as a sink: a batch is a block for each table, sent until all are acknowledged.

Without transactions, the order is what counts: the rows of sessions, whose `last_seq` says what is stored, go last. A
crash before them leaves rows that are written again with the same keys, by whoever goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from lunaroute.encryption.keys import keyring
from lunaroute.errors import StoreUnavailable
from lunaroute.events import Event
from lunaroute.sinks.tables.event_rows import EventRows

from .blocks import Blocks, answered, make_blocks
from .connection import ClickHouse
from .inserting import Inserting
from .known import Stored
from .migrations import migrate
from .summing import Summing

Rejected = Callable[[Event, str], None]
_FAULTS: Final = (ValueError, TypeError, OverflowError)
_Key = list[tuple[str, int]]


class ClickHouseSink:
    """Sink over one database, of a single server or of a cluster."""

    name = "clickhouse"

    def __init__(self, url: str, on_rejected: Rejected | None = None, *, cluster: str | None = None) -> None:
        """`on_rejected` is told of each event that could not be stored; by default a line on stderr says so.
        `cluster`: its name in the servers' configuration."""
        self._server = ClickHouse(url)
        self._cluster = cluster
        self._inserting = Inserting(self._server, cluster)
        self._on_rejected = on_rejected or _say_rejected
        self._stored = Stored(self._server)
        self._summing = Summing(self._server)
        self._pending: tuple[_Key, EventRows, Blocks] | None = None
        """A batch of which not all was acknowledged."""

    def open(self) -> None:
        """Connect, and create or migrate the tables. Raises StoreUnavailable, IndexTooNew, LunarouteError."""
        migrate(self._server, self._cluster)

    def write_batch(self, events: Sequence[Event]) -> None:
        """Raises StoreUnavailable; the same batch then goes on with the identical blocks where it was left."""
        key = [(event.session_id, event.seq) for event in events]
        if self._pending is None or self._pending[0] != key:
            self._pending = None
            self._stored.load(events)
            self._pending = (key, *self._rows(events))
        _, rows, blocks = self._pending
        while blocks.blocks:
            table, block = blocks.blocks[0]
            self._inserting.insert(table, block)
            del blocks.blocks[0]
        self._remember(rows, blocks)
        self._pending = None
        with suppress(StoreUnavailable):  # the batch is stored; what is not summed is read from single exchanges
            self._summing.look()

    def sync(self) -> None:
        """Nothing to do: what is acknowledged is in the server's files, which its system writes to disk."""

    def close(self) -> None:
        self._server.close()

    def _rows(self, events: Sequence[Event]) -> tuple[EventRows, Blocks]:
        try:
            return self._rows_without(events, set())
        except _FAULTS:
            # Rare, so the price of trying each event alone is paid only now.
            bad = {place for place, event in enumerate(events) if not self._is_storable(event)}
            return self._rows_without(events, bad)

    def _rows_without(self, events: Sequence[Event], bad: set[int]) -> tuple[EventRows, Blocks]:
        # Where recordings are encrypted, nothing that was said goes to a store that is not.
        rows = EventRows(self._stored, is_textless=keyring().is_on)
        for place, event in enumerate(events):
            if place in bad:
                with suppress(*_FAULTS):  # so broken that not even its session can be noted
                    rows.skip(event)
            else:
                rows.add(event)
        return rows, make_blocks(rows, self._stored, self._summing.late_before())

    def _is_storable(self, event: Event) -> bool:
        rows = EventRows(self._stored, is_textless=keyring().is_on)
        try:
            rows.add(event)
            make_blocks(rows, self._stored)
        except _FAULTS as error:
            self._on_rejected(event, str(error) or type(error).__name__)
            return False
        return True

    def _remember(self, rows: EventRows, blocks: Blocks) -> None:
        stored = self._stored
        for request_id in answered(blocks, rows):
            stored.requests.pop(request_id, None)
        stored.requests |= blocks.requests
        for values in rows.results:
            stored.calls.pop((values[1], values[5]), None)
        stored.calls |= blocks.calls
        stored.note(rows.sessions.values())


def _say_rejected(event: Event, reason: str) -> None:
    print(f"lunaroute: not stored: {event.session_id} {event.seq}: {reason}", file=sys.stderr)
