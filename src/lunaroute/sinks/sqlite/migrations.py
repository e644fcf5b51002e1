"""Bringing an index to the schema of this program.

In: an open connection. Out: a database of `SCHEMA_VERSION`; all of it or nothing, in one transaction. While nothing is
released, tables change within a version: `user_version` says which tables they are, and an index of others is built
again from the session files instead of being migrated.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

from lunaroute.errors import IndexTooNew, LunarouteError

from .schema import DDL, SCHEMA_VERSION

MIGRATIONS: dict[int, Sequence[str]] = {}
"""Version → the statements that lead from it to the next one, `schema_version` apart. None yet: 1 is the first."""

LAYOUT = zlib.crc32("".join(DDL).encode()) & 0x7FFF_FFFF
"""Stands for the tables of this program, in `user_version`."""


def migrate(connection: sqlite3.Connection, new: Sequence[str] = DDL) -> None:
    """Create or upgrade the tables; `new`: what an empty database gets. Raises IndexTooNew, sqlite3.Error."""
    version = _version(connection)
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have been faster.
        for statement in _missing_statements(_version(connection), new):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection) -> None:
    """For readers. Raises IndexTooNew, LunarouteError when the tables are not this program's, sqlite3.Error."""
    _refuse_newer(_version(connection))
    if is_outdated(connection):
        raise LunarouteError("sessions.db has the tables of another lunaroute: run `lunaroute reindex`")


def is_outdated(connection: sqlite3.Connection) -> bool:
    """An index that no migration leads from to these tables. Raises sqlite3.Error."""
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    return _version(connection) == SCHEMA_VERSION and layout != LAYOUT


def _missing_statements(version: int | None, new: Sequence[str]) -> list[str]:
    stamp = f"PRAGMA user_version = {LAYOUT}"
    if version is None:
        return [*new, stamp]
    _refuse_newer(version)
    statements = [statement for step in range(version, SCHEMA_VERSION) for statement in MIGRATIONS[step]]
    return [*statements, f"UPDATE schema_version SET version = {SCHEMA_VERSION}", stamp]


def _refuse_newer(version: int | None) -> None:
    if version is not None and version > SCHEMA_VERSION:
        raise IndexTooNew(
            f"sessions.db has schema version {version}, this program knows up to {SCHEMA_VERSION}:"
            " upgrade lunaroute, or move the file away and run `lunaroute reindex`"
        )


def _version(connection: sqlite3.Connection) -> int | None:
    """None = an empty database."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    if found is None:
        return None
    row: tuple[int] | None = connection.execute("SELECT version FROM schema_version").fetchone()
    return row[0] if row else None
