"""The newest rows first, in a store that would read all there is before it shows a few of them.

The last day is asked for first, and the days before it as long as the page is not full: what is recorded every day
costs reading one day, and what is rare as much as reading everything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lunaroute.capture.ids import uuid7_bytes, uuid_text

from .filter import Filter, Words
from .fragment import ALWAYS, Sql
from .stores.base import Index
from .stores.opening import dialect_of

_DAYS: Final = (1, 8, 64)
_SAID_BEFORE: Final = timedelta(days=1)
"""Texts are dated by whoever recorded them: a clock that was set back must not hide any."""

Ask = Callable[[datetime | None, datetime | None], list[Any]]
"""The rows of a page, and one more if there are more, of what began in [first, second); None = no bound."""


def newest_rows(connection: Index, wanted: Filter, limit: int | None, after_id: str | None, ask: Ask) -> list[Any]:
    """What `ask` finds without bounds, asking for less where that is enough. `after_id`: what the page follows, as the
    id of a session or an exchange. Raises sqlite3.Error."""
    if limit is None or not dialect_of(connection).is_asked_by_days:
        return ask(None, None)
    last = _began(after_id or _last_session(connection))
    if last is None:
        return ask(None, None)
    if wanted.until is not None:
        last = min(last, wanted.until)
    rows: list[Any] = []
    before: datetime | None = None
    for days in _DAYS:
        since = last - timedelta(days=days)
        if wanted.since is not None and since <= wanted.since:
            break
        rows += ask(since, before)
        if len(rows) > limit:
            return rows[: limit + 1]
        before = since
    return (rows + ask(None, before))[: limit + 1]


def has_words(wanted: Filter) -> bool:
    """Whether only that is wanted in which something was said: of texts, those of some days are found sooner."""
    return any(isinstance(one, Words) and not one.is_negated for one in wanted.conditions)


def said_since(began: datetime | None) -> datetime | None:
    """From when on texts can be of what began at a moment or later."""
    return None if began is None else began - _SAID_BEFORE


def begun_within(began: datetime | None, before: datetime | None, column: str) -> Sql:
    """What a column with its id puts into [began, before)."""
    condition = ALWAYS
    if began is not None:
        condition &= Sql(f"{column} >= ?", (_first_id(began),))
    if before is not None:
        condition &= Sql(f"{column} < ?", (_first_id(before),))
    return condition


def _first_id(began: datetime) -> str:
    """No id of something that began at this moment or later comes before it."""
    return uuid_text(uuid7_bytes(max(0, int(began.timestamp() * 1000)), 0))[:13]


def _began(identifier: str) -> datetime | None:
    """The time that a UUIDv7 begins with; None = it is none."""
    try:
        return datetime.fromtimestamp(int(identifier[:13].replace("-", ""), 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _last_session(connection: Index) -> str:
    (last,) = connection.execute("SELECT max(session_id) FROM sessions").fetchone()
    return str(last or "")
