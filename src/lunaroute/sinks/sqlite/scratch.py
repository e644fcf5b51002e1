"""An index that nobody reads yet.

In: a path. Out: a database without the ways that only questions take: to grow with every row they cost more than to be
made of all rows at once. `finish_scratch` adds them; what results is the index that `open_live` opens.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .migrations import migrate
from .schema import INDEXES, TABLES
from .store import connect, in_transaction

_CACHE_KIB = 64 * 1024


def open_scratch(path: Path, *, is_durable: bool = True) -> sqlite3.Connection:
    """A new one, or one that an earlier attempt left unfinished. Nothing that was committed is lost by a kill -9, nor,
    if `is_durable`, by a power cut. Raises IndexTooNew, sqlite3.Error."""
    connection = connect(path)
    try:
        # Almost every page is new, and a rollback journal has none of those: they are written once, not twice.
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_durable else 'OFF'}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        migrate(connection, TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def finish_scratch(connection: sqlite3.Connection) -> None:
    """Add what questions need, where an earlier attempt did not come so far. Raises sqlite3.Error."""
    try:
        in_transaction(connection, lambda: _add_indexes(connection))
    except sqlite3.OperationalError:
        # SQLite sorts in files of its own, somewhere else than here: there may be no such place, or no room.
        connection.execute("PRAGMA temp_store = MEMORY")
        in_transaction(connection, lambda: _add_indexes(connection))
    connection.execute("PRAGMA journal_mode = WAL")


def _add_indexes(connection: sqlite3.Connection) -> None:
    for statement in INDEXES:
        connection.execute(statement.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1))
    connection.execute("INSERT INTO text_search (text_search) VALUES ('optimize')")
