from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lunaroute.capture.ids import uuid7
from lunaroute.query.filter import EVERYTHING, Filter
from lunaroute.query.newest import begun_within, newest_rows, said_since
from lunaroute.query.stores.answer import Rows
from lunaroute.query.stores.clickhouse import ClickHouseDialect

LAST = datetime(2026, 11, 24, 10, tzinfo=UTC)


class _Store:
    """One that says which session is its last, and how its SQL is written."""

    def __init__(self, last_session: str, *, is_asked_by_days: bool = True) -> None:
        self.dialect = ClickHouseDialect()
        self.dialect.is_asked_by_days = is_asked_by_days  # type: ignore[misc]
        self._last = last_session

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Rows:
        return Rows([(self._last,)])

    def close(self) -> None: ...


def _id(moment: datetime) -> str:
    return uuid7(int(moment.timestamp() * 1000), bytes(range(10)))


def _asked(
    days_ago: Sequence[int], limit: int | None, wanted: Filter = EVERYTHING, after: str | None = None, **store: object
) -> tuple[list[int], list[timedelta | None]]:
    """The rows found, which are so many days old, and how far back was looked each time."""
    looks: list[timedelta | None] = []

    def ask(began: datetime | None, before: datetime | None) -> list[int]:
        looks.append(None if began is None else LAST - began)
        moments = [(days, LAST - timedelta(days=days)) for days in days_ago]
        found = [days for days, at in moments if (began is None or at >= began) and (before is None or at < before)]
        return found if limit is None else found[: limit + 1]

    last = str(store.get("last_session", _id(LAST)))
    opened = _Store(last, is_asked_by_days=bool(store.get("is_asked_by_days", True)))
    return newest_rows(opened, wanted, limit, after, ask), looks


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("days_ago", "looks"),
    [
        ([0, 0, 1, 90], [DAY]),
        ([0, 0, 5, 90], [DAY, 8 * DAY]),
        ([0, 1, 8, 8, 64], [DAY, 8 * DAY]),
        ([0, 20, 30, 90], [DAY, 8 * DAY, 64 * DAY]),
        ([0, 20, 90, 400], [DAY, 8 * DAY, 64 * DAY, None]),
        ([0], [DAY, 8 * DAY, 64 * DAY, None]),
    ],
)
def test_no_more_days_are_asked_for_than_fill_the_page(days_ago: list[int], looks: list[timedelta | None]) -> None:
    assert _asked(days_ago, 2) == (days_ago[:3], looks)


def test_nothing_is_asked_twice_where_all_is_wanted_or_the_store_knows_its_newest() -> None:
    assert _asked([0, 90], None) == ([0, 90], [None])
    assert _asked([0, 90], 1, is_asked_by_days=False) == ([0, 90], [None])


def test_an_empty_store_and_a_place_that_is_no_id_are_asked_for_everything() -> None:
    assert _asked([], 1, last_session="") == ([], [None])
    assert _asked([5], 1, after="no id") == ([5], [None])


def test_days_are_counted_from_where_the_page_begins() -> None:
    assert _asked([11, 11], 1, after=_id(LAST - 10 * DAY)) == ([11, 11], [11 * DAY])
    assert _asked([11, 11], 1, Filter(until=LAST - 10 * DAY)) == ([11, 11], [11 * DAY])


def test_time_that_is_not_wanted_is_not_looked_at_by_itself() -> None:
    assert _asked([0], 1, Filter(since=LAST - 3 * DAY)) == ([0], [DAY, None])


def test_ids_and_texts_of_what_began_later_are_not_left_out() -> None:
    condition = begun_within(LAST, LAST + timedelta(milliseconds=1), "s.session_id")
    first, after = map(str, condition.parameters)
    assert condition.text == "1 = 1 AND s.session_id >= ? AND s.session_id < ?"
    assert first <= _id(LAST) < after <= _id(LAST + timedelta(milliseconds=1))
    assert begun_within(datetime(1960, 1, 1, tzinfo=UTC), None, "id").parameters == ("00000000-0000",)
    assert begun_within(None, None, "id").parameters == ()
    assert said_since(None) is None
    assert said_since(LAST) == LAST - DAY
