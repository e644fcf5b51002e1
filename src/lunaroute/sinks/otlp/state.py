"""What was sent: the `seq` of the last event of each session, in a small SQLite file.

A batch's events are marked as sent in a transaction that is committed after the receiver took their spans. What a crash
between the two repeats are the same spans, with the same ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from lunaroute.events import Event
from lunaroute.sinks.layout import make_private_dir


class Sent:
    """One per sink. Used by one thread."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, sqlite3.Error."""
        make_private_dir(folder)
        path = folder / "sent.db"
        self._db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS sent (session_id TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID")

    def new_of(self, events: Sequence[Event]) -> tuple[list[Event], dict[str, int]]:
        """Those not sent yet, each once; and what `mark` is to be told when they were."""
        reached: dict[str, int] = {}
        new = []
        for event in events:
            last_seq = reached.get(event.session_id)
            if last_seq is None:
                last_seq = self._last_seq(event.session_id)
            if event.seq > last_seq:
                new.append(event)
            reached[event.session_id] = max(last_seq, event.seq)
        return new, reached

    def mark(self, reached: Mapping[str, int]) -> None:
        """On disk on return, but for a power loss. Raises sqlite3.Error."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", reached.items())
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def sync(self) -> None:
        """Survive a power loss."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._db.close()

    def _last_seq(self, session_id: str) -> int:
        row = self._db.execute("SELECT seq FROM sent WHERE session_id = ?", (session_id,)).fetchone()
        return -1 if row is None else int(row[0])
