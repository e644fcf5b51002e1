"""The relay's own time with the latest exchanges."""

from __future__ import annotations

import math

import msgspec

from .stores.base import Index
from .stores.opening import dialect_of

_LATEST = 10_000


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds that an exchange spent in the relay both ways, what recording costs there included."""

    count: int
    p50_ms: float
    p99_ms: float


def recent_overhead(connection: Index) -> Overhead | None:
    """Of the latest 10,000 exchanges; None = there are none. Raises sqlite3.Error."""
    newest = (
        f"SELECT e.total_proxy_overhead_ms AS ms FROM {dialect_of(connection).exchanges}"
        f" ORDER BY e.started_at DESC LIMIT {_LATEST}"
    )
    rows = connection.execute(f"SELECT ms FROM ({newest}) AS newest WHERE ms IS NOT NULL ORDER BY ms").fetchall()
    if not rows:
        return None
    return Overhead(count=len(rows), p50_ms=_at(rows, 50), p99_ms=_at(rows, 99))


def _at(rows: list[tuple[float]], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    return rows[math.ceil(len(rows) * percent / 100) - 1][0]
