"""Timestamps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.events.timestamps import timestamp


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_302_000_123_456_789, "2026-11-21T23:00:00.123456Z"),
        (1_795_302_000_999_999_999, "2026-11-21T23:00:00.999999Z"),
    ],
)
def test_a_moment_is_written_to_the_microsecond_and_never_rounded_up(wall_ns: int, text: str) -> None:
    assert timestamp(wall_ns) == text


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_the_text_is_the_moment_and_sorts_like_it(wall_ns: int) -> None:
    moment = datetime.fromisoformat(timestamp(wall_ns))
    assert moment.tzinfo == UTC
    assert int(moment.timestamp()) == wall_ns // 10**9
    assert moment.microsecond == wall_ns % 10**9 // 1000
    assert timestamp(wall_ns) <= timestamp(wall_ns + 1000)
