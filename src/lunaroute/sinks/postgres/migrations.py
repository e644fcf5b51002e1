"""Bringing a PostgreSQL database to the tables of this program; all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lunaroute.errors import IndexTooNew, LunarouteError

from .connection import driver
from .schema import SCHEMA_VERSION, SEARCH_DDL, ddl

MIGRATIONS: Final[dict[int, Sequence[str]]] = {}
"""Version → the statements that lead from it to the next one. None yet: 1 is the first."""

_LOCK: Final = 0x6C756E61
"""Of all recorders, one at a time changes tables."""


async def migrate(connection: Any) -> None:
    """Create or upgrade the tables. Raises IndexTooNew, asyncpg.PostgresError."""
    if await _version(connection) == SCHEMA_VERSION:
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        version = await _version(connection)
        if version is None:
            statements = ddl()
        else:
            _refuse_newer(version)
            statements = [statement for step in range(version, SCHEMA_VERSION) for statement in MIGRATIONS[step]]
            statements.append(f"UPDATE schema_version SET version = {SCHEMA_VERSION}")
        for statement in statements:
            await connection.execute(statement)
    if version is None:
        await _make_search_quick(connection)


async def check_version(connection: Any) -> None:
    """For readers. Raises LunarouteError when there are no tables or other ones."""
    version = await _version(connection)
    if version is None:
        raise LunarouteError("there are no recordings in this database; a recorder makes its tables")
    _refuse_newer(version)
    if version < SCHEMA_VERSION:
        raise LunarouteError("the tables are those of an older lunaroute; a recorder of this one upgrades them")


async def lock_for_ddl(connection: Any) -> None:
    """Until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def _make_search_quick(connection: Any) -> None:
    asyncpg = driver()
    try:
        async with connection.transaction():
            for statement in SEARCH_DDL:
                await connection.execute(statement)
    except asyncpg.PostgresError:
        return  # no right to, or not installed on the server: search is slower and finds the same


def _refuse_newer(version: int) -> None:
    if version > SCHEMA_VERSION:
        raise IndexTooNew(
            f"the database has schema version {version}, this program knows up to {SCHEMA_VERSION}: upgrade lunaroute"
        )


async def _version(connection: Any) -> int | None:
    """None = an empty database."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return None
    version: int | None = await connection.fetchval("SELECT version FROM schema_version")
    return version
