"""[pure] Moments as people type them and as the index writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime) -> datetime:
    """`24h`, `7d` … before `now`, `today`, `yesterday`, or an ISO date or time, UTC unless it says otherwise. Raises
    ValueError with a sentence for people."""
    word = text.strip().lower()
    ago = _AGO.fullmatch(word)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if word in {"today", "yesterday"}:
            return midnight - timedelta(days=word == "yesterday")
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: say 30m, 24h, 7d, 2026-11-22 or 2026-11-22T10:00") from None


def sql_moment(moment: datetime) -> str:
    """The moment as the index writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
