"""The relay's own time with the latest exchanges."""

from __future__ import annotations

import math
import sqlite3

import msgspec

_LATEST = 10_000


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds that an exchange spent in the relay both ways, what recording costs there included."""

    count: int
    p50_ms: float
    p99_ms: float


def recent_overhead(connection: sqlite3.Connection) -> Overhead | None:
    """Of the latest 10,000 exchanges; None = there are none. Raises sqlite3.Error."""
    newest = "SELECT rowid, total_proxy_overhead_ms AS ms FROM session_stats ORDER BY rowid DESC LIMIT ?"
    rows = connection.execute(f"SELECT ms FROM ({newest}) WHERE ms IS NOT NULL ORDER BY ms", (_LATEST,)).fetchall()
    if not rows:
        return None
    return Overhead(count=len(rows), p50_ms=_at(rows, 50), p99_ms=_at(rows, 99))


def _at(rows: list[tuple[float]], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    return rows[math.ceil(len(rows) * percent / 100) - 1][0]
