"""A batch of events becoming rows of the index, inside a transaction of the caller.

In: events, each session's in `seq` order. Out, at `flush`: the rows, written statement by statement with
`executemany`, in the same transaction as each session's `last_seq`.
"""

from __future__ import annotations

import sqlite3

import msgspec

from lunaroute.encryption.keys import keyring
from lunaroute.sinks.tables.columns import SessionRow
from lunaroute.sinks.tables.event_rows import EventRows
from lunaroute.sinks.tables.row_parts import Begun

from . import statements as sql
from .inserting import insert_many
from .long_texts import stored_text
from .rollups import add_rollups
from .tool_calls import write_tool_calls


class _Index:
    """What the index knows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def session(self, session_id: str) -> SessionRow | None:
        # Most are new, and Python's sqlite3 takes long over a statement that could give so many columns.
        if self._connection.execute(sql.SELECT_IS_SESSION, (session_id,)).fetchone() is None:
            return None
        found = self._connection.execute(sql.SELECT_SESSION, (session_id,)).fetchone()
        return SessionRow(**dict(zip(sql.SESSION_COLUMNS, found, strict=True)))

    def request(self, request_id: str) -> Begun | None:
        found = self._connection.execute(sql.SELECT_EXCHANGE, (request_id,)).fetchone()
        return None if found is None else Begun(*found)


class Batch(EventRows):
    """Rows of the index. Raises what SQLite does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        # SQLite cannot encrypt: where recordings are encrypted, nothing that was said goes to it.
        super().__init__(_Index(connection), is_textless=keyring().is_on)
        self._connection = connection

    def flush(self, *, has_sums: bool = True) -> None:
        """Write all rows; without `has_sums` those of hours and days are as they were. Raises sqlite3.Error."""
        many = self._connection.executemany
        self._flush_sessions()
        self.flush_whole_rows()
        insert_many(self._connection, sql.INSERT_EXCHANGE, self.exchanges())
        many(sql.UPDATE_EXCHANGE, self.responses)
        write_tool_calls(self._connection, self.tool_calls, self.executions, self.results)
        many(sql.INSERT_FACET, self.facets)
        if has_sums:
            add_rollups(self._connection, self.rollups)

    def _flush_sessions(self) -> None:
        new, known = [], []
        for session_id, row in self.sessions.items():
            if session_id in self.new_sessions:
                new.append(msgspec.structs.astuple(row))
            else:
                known.append((*[getattr(row, name) for name in sql.SESSION_CHANGING], session_id))
        insert_many(self._connection, sql.INSERT_SESSION, new)
        self._connection.executemany(sql.UPDATE_SESSION, known)

    def flush_whole_rows(self) -> None:
        """Write those that nothing will be added to: while they are in the processor's caches it takes less. Raises
        sqlite3.Error."""
        insert_many(self._connection, sql.INSERT_EXCHANGE, self.take_answered())
        texts = self.take_texts()
        if not texts:
            return
        (last_id,) = self._connection.execute(sql.SELECT_LAST_TEXT_ID).fetchone()
        numbered = list(enumerate(texts, start=last_id + 1))
        self._connection.executemany(
            sql.INSERT_TEXT,
            [
                (text_id, one.session_id, one.request_id, one.kind, stored_text(one.content))
                for text_id, one in numbered
            ],
        )
        self._connection.executemany(sql.INSERT_SEARCH, [(text_id, one.content) for text_id, one in numbered])
