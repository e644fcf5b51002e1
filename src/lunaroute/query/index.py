"""Opening `sessions.db` for reading: connections that cannot write, and say what to do when they cannot read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lunaroute.errors import LunarouteError
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.sqlite.migrations import check_version

from .tenant import TenantConnection, narrow

_CACHE_KIB = 32 * 1024


def open_index(database: Path, *, is_shared: bool = False, tenant: str | None = None) -> sqlite3.Connection | None:
    """A connection that cannot write; None = nothing was recorded yet. `is_shared`: several threads use it, one at a
    time. `tenant`: only what is this one's is in it. Raises LunarouteError when the index is missing, too new or
    damaged, and says what to do."""
    if not database.exists():
        if any(session_files(database.parent)):
            raise LunarouteError(f"{database} is missing: run `lunaroute reindex`")
        return None
    try:
        address = f"{database.absolute().as_uri()}?mode=ro"
        kind = sqlite3.Connection if tenant is None else TenantConnection
        connection = sqlite3.connect(address, uri=True, timeout=10.0, check_same_thread=not is_shared, factory=kind)
    except sqlite3.Error as error:
        raise LunarouteError(f"cannot read {database}: {error}") from error
    try:
        if tenant is not None:
            narrow(connection, tenant)
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        check_version(connection)
    except sqlite3.Error as error:
        connection.close()
        raise LunarouteError(f"cannot read {database}: {error}; `lunaroute reindex` makes it anew") from error
    except BaseException:
        connection.close()
        raise
    return connection
