"""Moments of exchanges, and the time between two."""

from __future__ import annotations

from lunaroute.assemble.exchange import Exchange
from lunaroute.assemble.wall_time import wall_ns_at

from .state import Instant


def instant(exchange: Exchange, t_ns: int) -> Instant:
    """The moment `t_ns` of this exchange's clock."""
    return Instant(exchange.key.lane, exchange.key.start_wall_ns, t_ns, wall_ns_at(exchange, t_ns))


def elapsed_ns(start: Instant, end: Instant) -> int:
    """Time from start to end, never negative. Wall times are subtracted only where there is no common clock."""
    if start.lane == end.lane and start.start_wall_ns == end.start_wall_ns:
        return max(0, end.t_ns - start.t_ns)
    return max(0, end.wall_ns - start.wall_ns)
