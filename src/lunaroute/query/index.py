"""Opening `sessions.db` for reading: connections that cannot write, and say what to do when they cannot read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lunaroute.errors import LunarouteError
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.sqlite.migrations import check_version

_CACHE_KIB = 32 * 1024


def open_index(database: Path) -> sqlite3.Connection | None:
    """A connection that cannot write; None = nothing was recorded yet. Raises LunarouteError when the index is
    missing, too new or damaged, and says what to do."""
    if not database.exists():
        if any(session_files(database.parent)):
            raise LunarouteError(f"{database} is missing: run `lunaroute reindex`")
        return None
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
    except sqlite3.Error as error:
        raise LunarouteError(f"cannot read {database}: {error}") from error
    try:
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
