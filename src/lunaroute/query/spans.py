"""[pure] A time asked for, cut where the roll-ups are cut.

In: [since, until), and whether roll-ups go by hour, by day or by both. Out: the whole hours or days in it, and what is
left at its ends, which is read from single rows. So sums over any time are exact.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from .moments import sql_moment

Grain = Literal["hour", "day"]


class Span(msgspec.Struct, frozen=True):
    """[since, until) as the index writes times; None = no bound."""

    since: str | None
    until: str | None


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    whole: Span | None
    """None = not one whole hour or day lies inside."""
    edges: tuple[Span, ...]


class FineCut(msgspec.Struct, frozen=True, kw_only=True):
    """Days as far as they go, then hours, then what is left."""

    days: tuple[Span, ...]
    hours: tuple[Span, ...]
    edges: tuple[Span, ...]


def cut(since: datetime | None, until: datetime | None, grain: Grain) -> Cut:
    first = None if since is None else _up(since, grain)
    last = None if until is None else _down(until, grain)
    if first is not None and last is not None and first >= last:
        edge = Span(_text(since), _text(until))
        return Cut(
            whole=None, edges=(edge,) if edge.since is None or edge.until is None or edge.since < edge.until else ()
        )
    edges = []
    if since is not None and since != first:
        edges.append(Span(_text(since), _text(first)))
    if until is not None and until != last:
        edges.append(Span(_text(last), _text(until)))
    return Cut(whole=Span(_text(first), _text(last)), edges=tuple(edges))


def cut_finely(since: datetime | None, until: datetime | None, *, has_days: bool) -> FineCut:
    """Without `has_days`, into hours only."""
    whole = cut(since, until, "day").whole if has_days else None
    if whole is None:
        rest = [cut(since, until, "hour")]
    else:
        rest = [] if since is None else [cut(since, _up(since, "day"), "hour")]
        rest += [] if until is None else [cut(_down(until, "day"), until, "hour")]
    return FineCut(
        days=() if whole is None else (whole,),
        hours=tuple(one.whole for one in rest if one.whole is not None),
        edges=tuple(edge for one in rest for edge in one.edges),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else sql_moment(moment)


def _down(moment: datetime, grain: Grain) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if grain == "hour" else hour.replace(hour=0)


def _up(moment: datetime, grain: Grain) -> datetime:
    down = _down(moment, grain)
    return down if down == moment else down + timedelta(**{f"{grain}s": 1})
