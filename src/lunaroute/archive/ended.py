"""Which sessions have ended lately, by the index."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path


def ended_between(database: Path, since: datetime, until: datetime) -> list[str]:
    """Sessions that ended then, by the index; none where it cannot be asked now: the next scan finds them."""
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as index:
            rows = index.execute(
                "SELECT session_id FROM sessions WHERE completed_at > ? AND completed_at <= ?",
                (_sql_time(since), _sql_time(until)),
            ).fetchall()
    except sqlite3.Error:
        return []
    return [session_id for (session_id,) in rows]


def _sql_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
