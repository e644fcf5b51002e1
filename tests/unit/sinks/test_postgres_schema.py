"""A row's part is told by the time that its id begins with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lunaroute.capture.ids import uuid7
from lunaroute.sinks.postgres.schema import PARTITIONED, month_of, next_month, partition_ddl


def _id(moment: datetime, rest: bytes = b"\xff" * 10) -> str:
    return uuid7(round(moment.timestamp() * 1000), rest)


@pytest.mark.parametrize("month", ["2026-01", "2026-11", "2026-12", "2028-02"])
def test_the_bounds_of_a_month_hold_its_ids_and_no_others(month: str) -> None:
    begin = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    end = datetime.fromisoformat(f"{next_month(month)}-01").replace(tzinfo=UTC)
    statement = partition_ddl(month)[0]
    first, after = statement.split("'")[1::2]
    millisecond = timedelta(milliseconds=1)
    for moment, is_within in ((begin, True), (begin - millisecond, False), (end - millisecond, True), (end, False)):
        for rest in (bytes(10), b"\xff" * 10):
            assert (first <= _id(moment, rest) < after) is is_within
            assert (month_of(_id(moment, rest)) == month) is is_within


@pytest.mark.parametrize(
    "name", ["", "no id", "x" * 36, "019AB6E0-0000-7000-8000-000000000000", _id(datetime(1970, 1, 2))]
)
def test_what_is_no_time_has_no_part_of_its_own(name: str) -> None:
    assert month_of(name) is None


def test_every_large_table_gets_its_part() -> None:
    assert [text.split()[5] for text in partition_ddl("2026-11")] == [f"{table}_2026_11" for table in PARTITIONED]
