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
from .long_texts import stored_text
from .rollups import add_rollups


class _Index:
    """What the index knows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def session(self, session_id: str) -> SessionRow | None:
        found = self._connection.execute(sql.SELECT_SESSION, (session_id,)).fetchone()
        return None if found is None else SessionRow(**dict(zip(sql.SESSION_COLUMNS, found, strict=True)))

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
        many(sql.INSERT_EXCHANGE, self.exchanges())
        many(sql.UPDATE_EXCHANGE, self.responses)
        many(sql.INSERT_TOOL_CALL, self.tool_calls)
        many(sql.INSERT_EXECUTION, self.executions)
        many(sql.INSERT_RESULT, self.results)
        # result_values: request_id is second, tool_name fifth.
        many(sql.UPDATE_TOOL_CALL, {(values[1], values[4]) for values in self.results})
        many(sql.INSERT_FACET, self.facets)
        if has_sums:
            add_rollups(self._connection, self.rollups)
        self._flush_texts()

    def _flush_sessions(self) -> None:
        new, known = [], []
        for session_id, row in self.sessions.items():
            if session_id in self.new_sessions:
                new.append(msgspec.structs.astuple(row))
            else:
                known.append((*[getattr(row, name) for name in sql.SESSION_CHANGING], session_id))
        self._connection.executemany(sql.INSERT_SESSION, new)
        self._connection.executemany(sql.UPDATE_SESSION, known)

    def _flush_texts(self) -> None:
        if not self.texts:
            return
        (last_id,) = self._connection.execute(sql.SELECT_LAST_TEXT_ID).fetchone()
        numbered = list(enumerate(self.texts, start=last_id + 1))
        self._connection.executemany(
            sql.INSERT_TEXT,
            [
                (text_id, one.session_id, one.request_id, one.kind, stored_text(one.content))
                for text_id, one in numbered
            ],
        )
        self._connection.executemany(sql.INSERT_SEARCH, [(text_id, one.content) for text_id, one in numbered])
