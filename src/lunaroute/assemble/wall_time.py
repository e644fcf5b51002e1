"""The time of day at a moment of an exchange's own clock."""

from __future__ import annotations

from .exchange import Exchange


def wall_ns_at(exchange: Exchange, t_ns: int) -> int:
    """Unix nanoseconds at `t_ns`: by the clock of the machine when the request came, and monotonic from there."""
    return exchange.opened.wall_ns + (t_ns - exchange.opened.t_ns)
