"""How far a sink has got: a small SQLite file, one row per session.

In: what the sink has stored. Out: where to go on, after any crash. A position is written after the sink has said that
it stored the events before it, so what a crash repeats is the last batch, which the sink knows (`sinks/base.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lunaroute.sinks.layout import make_private_dir

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (
  session_id TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, next_byte INTEGER NOT NULL, is_done INTEGER NOT NULL
) WITHOUT ROWID
"""


class Position(msgspec.Struct, frozen=True):
    """In one session's file."""

    next_seq: int = 0
    """Of the event to go on with."""
    next_byte: int = 0
    """Where its line begins in the plain file, if nobody has rewritten that."""
    is_done: bool = False
    """The session's last event was stored."""


BEGINNING = Position()
_DONE = Position(is_done=True)
_MOST_DONE = 200_000


class Positions:
    """Opened and used by one thread."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, sqlite3.Error."""
        make_private_dir(path.parent)
        self._db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_SCHEMA)
        self.is_new = self._db.execute("PRAGMA user_version").fetchone()[0] == 0
        """Nothing was ever stored: the sink is new."""
        rows = self._db.execute("SELECT session_id, next_seq, next_byte FROM position WHERE NOT is_done")
        self._unfinished = {session_id: Position(seq, byte) for session_id, seq, byte in rows}
        self._done: set[str] = set()
        """Of those that are done, the ones asked for lately: all of them would be a lot."""

    def of(self, session_id: str) -> Position:
        if session_id in self._done:
            return _DONE
        return self._unfinished.get(session_id) or self._stored(session_id)

    def _stored(self, session_id: str) -> Position:
        if self._db.execute("SELECT 1 FROM position WHERE session_id = ?", (session_id,)).fetchone() is None:
            return BEGINNING
        self._remember_done(session_id)
        return _DONE

    def _remember_done(self, session_id: str) -> None:
        if len(self._done) >= _MOST_DONE:
            self._done.clear()
        self._done.add(session_id)

    def store(self, reached: Mapping[str, Position]) -> None:
        """On disk on return. Raises sqlite3.Error."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            rows = [(name, at.next_seq, at.next_byte, at.is_done) for name, at in reached.items()]
            self._db.executemany("INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?)", rows)
            self._db.execute("PRAGMA user_version = 1")
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise
        for session_id, at in reached.items():
            if at.is_done:
                self._unfinished.pop(session_id, None)
                self._remember_done(session_id)
            else:
                self._unfinished[session_id] = at
        self.is_new = False

    def close(self) -> None:
        self._db.close()
