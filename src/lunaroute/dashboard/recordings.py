"""The recordings as requests need them: a read-only connection to the index for the time of one question.

Connections are kept and handed on, so that a question finds SQLite's pages warm; a few are enough for one person's
browser. An index that was made anew is noticed by its inode.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store

_KEPT = 4
_MOST_TENANTS = 100
"""Whose connections are kept."""


class Recordings:
    """Use it from any thread."""

    def __init__(self, home: Path, store: str | None = None) -> None:
        """`store`: a URL of what is asked instead of the home's index."""
        self.home = home
        self.store = store
        self.sessions_dir = home / "sessions"
        self.database = self.sessions_dir / "sessions.db"
        self._lock = threading.Lock()
        self._idle: dict[str | None, list[tuple[int, Index]]] = {}
        """By tenant."""

    @contextmanager
    def index(self, tenant: str | None = None) -> Iterator[Index | None]:
        """With `tenant`, only what is this one's. None = nothing was recorded yet. Raises LunarouteError when the index
        is missing beside files, too new or damaged."""
        inode = self._inode()
        connection = self._take(inode, tenant)
        if connection is None:
            yield None
            return
        is_good = False
        try:
            yield connection
            is_good = True
        finally:
            self._give_back(inode, tenant, connection, is_good=is_good)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, {}
        for _, connection in (one for kept in idle.values() for one in kept):
            connection.close()

    def _inode(self) -> int:
        if self.store is not None:
            return 0  # whoever keeps that store replaces no file under our hands
        try:
            return self.database.stat().st_ino
        except FileNotFoundError:
            return -1

    def _take(self, inode: int, tenant: str | None) -> Index | None:
        with self._lock:
            idle = self._idle.get(tenant, [])
            while idle:
                known, connection = idle.pop()
                if known == inode:
                    return connection
                connection.close()
        return open_store(self.store, self.database, is_shared=True, tenant=tenant)

    def _give_back(self, inode: int, tenant: str | None, connection: Index, *, is_good: bool) -> None:
        with self._lock:
            idle = self._idle.get(tenant, [])
            if is_good and len(idle) < _KEPT and (idle or len(self._idle) < _MOST_TENANTS):
                self._idle[tenant] = [*idle, (inode, connection)]
                return
        connection.close()
