"""[pure] What a listing is asked for, and the SQL condition it amounts to.

In: words a person typed. Out: moments and `SessionFilter`, and of that a WHERE clause with its parameters. Text of
users only ever travels as a parameter.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions; None = does not matter."""

    since: datetime | None = None
    """Started at this moment or later."""
    until: datetime | None = None
    """Started before this moment."""
    provider: str | None = None
    """Exactly this provider."""
    model: str | None = None
    """Part of the requested or the answering model's name, in any case."""
    client: str | None = None
    """Part of the client's name, in any case."""


def parse_moment(text: str, now: datetime) -> datetime:
    """`24h`, `7d` … before `now`, or an ISO date or time, UTC unless it says otherwise. Raises ValueError with a
    sentence for people."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: say 30m, 24h, 7d, 2026-11-22 or 2026-11-22T10:00") from None


def where(wanted: SessionFilter) -> tuple[str, list[str]]:
    """(condition over `sessions`, its parameters)."""
    conditions: list[str] = []
    parameters: list[str] = []

    def add(condition: str, *values: str) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if wanted.since is not None:
        add("started_at >= ?", sql_moment(wanted.since))
    if wanted.until is not None:
        add("started_at < ?", sql_moment(wanted.until))
    if wanted.provider is not None:
        add("provider = ?", wanted.provider)
    if wanted.model is not None:
        pattern = _contains(wanted.model)
        add(r"(model_used LIKE ? ESCAPE '\' OR model_requested LIKE ? ESCAPE '\')", pattern, pattern)
    if wanted.client is not None:
        add(r"client_name LIKE ? ESCAPE '\'", _contains(wanted.client))
    return " AND ".join(conditions) or "1", parameters


def sql_moment(moment: datetime) -> str:
    """The moment as the index writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _contains(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"
