"""Whether the index has changed, without reading it.

In: the path of the index. Out: a number that goes up with each change that another process commits.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lunaroute.errors import LunarouteError

from .index import open_index


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
