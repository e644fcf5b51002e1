"""Whether something was recorded, without reading it.

In: the path of the index, or the URL of a store. Out: a number that goes up with each change: of the index, whenever
another process commits; of a store, when a session has become active later than any before.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from lunaroute.errors import LunarouteError

from .index import open_index
from .stores.base import Index
from .stores.opening import dialect_of, open_store

_STORE_LOOK_S = 2.0


def watch(database: Path, store: str | None) -> ChangeWatch | StoreWatch:
    """Of the store, or of the index where there is none."""
    return ChangeWatch(database) if store is None else StoreWatch(database, store)


class ChangeWatch:
    """Keeps one connection. Use it in one thread at a time."""

    def __init__(self, database: Path) -> None:
        self.count = 0
        """Changes seen."""
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._version: int | None = None

    def look(self) -> int:
        """`count`, after a look. An index that is missing or damaged does not change."""
        try:
            version = self._look()
        except (LunarouteError, OSError, sqlite3.Error):
            self.close()
            version = None
        if version is not None and version != self._version:
            self.count += self._version is not None
            self._version = version
        return self.count

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _look(self) -> int | None:
        inode = self._database.stat().st_ino if self._database.exists() else None
        if inode != self._inode:
            # Made, made anew by a re-index, or gone: what was seen before counts no more.
            self.close()
            self.count += 1
            self._inode, self._version = inode, None
        if inode is None:
            return None
        if self._connection is None:
            self._connection = open_index(self._database, is_shared=True)
        if self._connection is None:
            return None
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


class StoreWatch:
    """Keeps one connection. Use it in one thread at a time."""

    def __init__(self, database: Path, store: str) -> None:
        self.count = 0
        """Changes seen."""
        self._database = database
        self._store = store
        self._index: Index | None = None
        self._latest: str | None = None
        self._look_at_s = 0.0

    def look(self) -> int:
        """`count`, after a look, which a store on another machine is spared more often than every two seconds. One that
        cannot be reached does not change."""
        if time.monotonic() < self._look_at_s:
            return self.count
        self._look_at_s = time.monotonic() + _STORE_LOOK_S
        try:
            if self._index is None:
                self._index = open_store(self._store, self._database, is_shared=True)
            latest = self._latest if self._index is None else _latest_of(self._index)
        except (LunarouteError, OSError, sqlite3.Error):
            self.close()
            return self.count
        if latest != self._latest:
            self.count += 1
            self._latest = latest
        return self.count

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = None


def _latest_of(index: Index) -> str | None:
    table = dialect_of(index).session_rows
    latest: str | None = index.execute(f"SELECT max(last_active_at) FROM {table}").fetchone()[0]
    return latest
