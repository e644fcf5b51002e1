"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lunaroute.query.moments import parse_moment, sql_moment

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2w", NOW - timedelta(weeks=2)),
        ("today", NOW.replace(hour=0)),
        ("yesterday", datetime(2026, 11, 21, tzinfo=UTC)),
        (" 10s ", NOW - timedelta(seconds=10)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T08:30", datetime(2026, 11, 20, 8, 30, tzinfo=UTC)),
        ("2026-11-20 08:30:15", datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)),
        ("2026-11-20T08:30Z", datetime(2026, 11, 20, 8, 30, tzinfo=UTC)),
        ("2026-11-20T08:30+02:00", datetime(2026, 11, 20, 6, 30, tzinfo=UTC)),
    ],
)
def test_times_are_understood(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "tomorrow", "24", "h", "-1d", "2026-13-01", "999999w", "7 d"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: say 30m, 24h"):
        parse_moment(text, NOW)


def test_moments_are_written_as_the_index_writes_them() -> None:
    assert sql_moment(datetime.fromisoformat("2026-11-22T12:00:00.5+02:00")) == "2026-11-22 10:00:00.500000"
