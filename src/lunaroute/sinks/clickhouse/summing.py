"""When days are summed (`day_sums`): now and then by whoever writes, where the server has sums of days."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from . import day_sums
from .connection import ClickHouse
from .migrations import has_day_sums
from .reading import rows_of

_LOOK_S: Final = 60.0


class Summing:
    """Of one database. Nothing happens where there are no sums of days."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server
        self._is_possible: bool | None = None
        self._look_at_s = 0.0
        self._whole_day = ""
        """On which all days were last looked through; else only those with marks are."""

    def late_before(self) -> str | None:
        """Exchanges of days before this one leave marks; None: none do. Raises StoreUnavailable."""
        if self._is_possible is None:
            self._is_possible = has_day_sums(self._server)
        return _days_ago(day_sums.MARKED_DAYS) if self._is_possible else None

    def look(self) -> None:
        """Sum what is due, if it was not looked for just now. Raises StoreUnavailable."""
        if time.monotonic() >= self._look_at_s and self.late_before() is not None:
            self._look_at_s = time.monotonic() + _LOOK_S
            self.sum_all()

    def sum_all(self) -> None:
        """Sum what is due. Raises StoreUnavailable."""
        before = _days_ago(day_sums.SUMMED_AFTER_DAYS)
        marks = dict(rows_of(self._server, "SELECT day, count() FROM late_rows FINAL GROUP BY day"))
        summed = dict(rows_of(self._server, "SELECT day, marks FROM summed_days FINAL"))
        days = set(marks)
        if before != self._whole_day:
            for found in day_sums.days_before(before):
                days |= {day for (day,) in rows_of(self._server, found)}
        # The earliest first: what lies before the last day that was summed counts as summed.
        for day in sorted(days):
            if day < before and summed.get(day) != marks.get(day, 0):
                for statement in day_sums.sum_day(day, marks.get(day, 0)):
                    self._server.run(statement.encode())
        self._whole_day = before


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
