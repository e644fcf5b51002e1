"""[pure] Numbers for people, as every page writes them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NONE = "–"


def usd(value: float | None) -> str:
    """Four significant digits below a dollar, cents above."""
    if value is None:
        return NONE
    if value == 0:
        return "$0"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    return "$" + f"{value:.{min(9, 3 - math.floor(math.log10(abs(value))))}f}".rstrip("0")


def count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """`1,234` as `1.23k`."""
    if value is None:
        return NONE
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{unit}" if abs(value) < size * 999.5 else f"{value / size:,.0f}{unit}"
    return f"{value:.0f}"


def ms(value: float | None) -> str:
    """A duration of machines: `0.42 ms`, `840 ms`, `2.3 s`, `1 m 12 s`."""
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.2f} ms"
    if value < 999.5:
        return f"{value:.0f} ms"
    if value < 59_950:
        return f"{value / 1000:.3g} s"
    seconds = round(value / 1000)
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60} s"
    minutes = seconds // 60
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def size(value: float | None) -> str:
    """Bytes."""
    if value is None:
        return NONE
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= bytes_:
            return f"{value / bytes_:.3g} {unit}"
    return f"{value:.0f} B"


def percent(share: float | None) -> str:
    """Of a share from 0 to 1."""
    if share is None:
        return NONE
    value = share * 100
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    return f"{value:.2g} %" if value < 1 else f"{value:.1f} %"


def ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def moment(text: str | None) -> datetime | None:
    """A time of the index or of an event."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def iso(text: str | None) -> str:
    """A time as HTML wants it."""
    found = moment(text)
    return "" if found is None else found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_between(begin: str | None, end: str | None) -> float | None:
    """Of two times of the index."""
    first, last = moment(begin), moment(end)
    return None if first is None or last is None else (last - first).total_seconds() * 1000
