"""Bringing an index to the schema of this program.

In: an open connection. Out: a database of `SCHEMA_VERSION`; all of it or nothing, in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from lunaroute.errors import IndexTooNew

from .schema import DDL, SCHEMA_VERSION

MIGRATIONS: dict[int, Sequence[str]] = {}
"""Version → the statements that lead from it to the next one, `schema_version` apart. None yet: 1 is the first."""


def migrate(connection: sqlite3.Connection) -> None:
    """Create or upgrade the tables. Raises IndexTooNew, sqlite3.Error."""
    version = _version(connection)
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have been faster.
        for statement in _missing_statements(_version(connection)):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection) -> None:
    """For readers. Raises IndexTooNew, sqlite3.Error."""
    _refuse_newer(_version(connection))


def _missing_statements(version: int | None) -> list[str]:
    if version is None:
        return list(DDL)
    _refuse_newer(version)
    statements = [statement for step in range(version, SCHEMA_VERSION) for statement in MIGRATIONS[step]]
    return [*statements, f"UPDATE schema_version SET version = {SCHEMA_VERSION}"]


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
