"""Missed cache hits: when one was possible, how much it was, and why."""

from __future__ import annotations

import pytest

from lunaroute.sessions.prompts import Answered, Change, Difference
from lunaroute.stats.caching import Reason, answered, find_miss, new_input_tokens, without_miss
from lunaroute.stats.counts import TokenCounts

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
CONTINUED = Change(1_000, 99_000, 2, 3, is_continued=True)


def differing(part: str, bytes_before: int = 0) -> Change:
    difference = Difference(part, 4, "text", "edited", bytes_before)  # type: ignore[arg-type]
    return Change(50_000, 50_000, 2, 3, is_continued=False, difference=difference)


def counts(whole: int, read: int | None, written: int | None = None, **more: int) -> TokenCounts:
    return TokenCounts(
        input_tokens=whole, output_tokens=1, cache_read_tokens=read, cache_creation_tokens=written, **more
    )


BEFORE = Answered(20_000, 19_000, 300, 0)


def test_what_a_response_leaves_in_the_cache() -> None:
    assert answered(counts(20_000, 15_000, 4_000), None, 7) == Answered(20_000, 19_000, 300, 7)
    assert answered(counts(20_000, 0), None, 7) == Answered(20_000, 19_968, 300, 7)
    assert answered(counts(900, 0), None, 7) == Answered(900, 0, 300, 7)
    assert answered(counts(20_000, None), None, 7) == Answered(20_000, 0, 300, 7)
    assert answered(TokenCounts(output_tokens=5), None, 7) is None


def test_a_long_life_lasts_while_the_cache_is_read() -> None:
    long = answered(counts(20_000, 0, 19_000, cache_creation_1h_tokens=19_000), None, 0)
    assert long is not None
    assert long.ttl_s == 3600
    read = answered(counts(21_000, 19_000, 1_000, cache_creation_5m_tokens=1_000), long, 1)
    assert read is not None
    assert read.ttl_s == 3600
    rewritten = answered(counts(21_000, 0, 20_000, cache_creation_5m_tokens=20_000), long, 1)
    assert rewritten is not None
    assert rewritten.ttl_s == 300


@pytest.mark.parametrize(
    ("before", "tokens"),
    [
        (None, counts(20_000, 0, 20_000)),
        (BEFORE, counts(21_000, 19_000, 2_000)),
        (BEFORE, counts(21_000, 18_000, 3_000)),
        (BEFORE, counts(21_000, None)),
        (BEFORE, TokenCounts(output_tokens=1)),
        (BEFORE, counts(500, 0, 500)),
        (Answered(20_000, 0, 300, 0), counts(21_000, 0, 0)),
    ],
)
def test_no_miss_where_it_hit_or_could_not_or_nobody_says(before: Answered | None, tokens: TokenCounts) -> None:
    assert find_miss(CONTINUED, before, tokens, MINUTE) is None


@pytest.mark.parametrize(
    ("change", "at_ns", "written", "reason"),
    [
        (differing("model"), MINUTE, 21_000, "model_changed"),
        (differing("tools"), MINUTE, 21_000, "tools_changed"),
        (differing("system"), MINUTE, 21_000, "system_changed"),
        (differing("settings"), MINUTE, 21_000, "settings_changed"),
        (differing("messages", 10), MINUTE, 21_000, "history_changed"),
        (differing("messages", 10), 10 * MINUTE, 21_000, "history_changed"),
        (differing("messages", 90_000), 10 * MINUTE, 21_000, "expired"),
        (CONTINUED, 6 * MINUTE, 21_000, "expired"),
        (CONTINUED, MINUTE, 21_000, "unknown"),
        (Change(1, 1, 30, 30, is_continued=True), MINUTE, 21_000, "too_many_new_blocks"),
        (Change(1, 1, 30, 30, is_continued=True), MINUTE, None, "unknown"),
    ],
)
def test_why_a_hit_was_missed(change: Change, at_ns: int, written: int | None, reason: Reason) -> None:
    miss = find_miss(change, BEFORE, counts(21_000, 0, written), at_ns)
    assert miss is not None
    assert (miss.missed_tokens, miss.reason, miss.difference) == (19_000, reason, change.difference)
    assert miss.idle_s == at_ns / SECOND


def test_no_more_is_missed_than_was_sent() -> None:
    miss = find_miss(differing("messages"), BEFORE, counts(6_000, 1_000, 5_000), MINUTE)
    assert miss is not None
    assert miss.missed_tokens == 5_000


def test_new_tokens_are_what_the_prompt_before_did_not_have() -> None:
    tokens = counts(21_000, 0)
    assert new_input_tokens(CONTINUED, BEFORE, tokens, is_first=False) == 1_000
    assert new_input_tokens(CONTINUED, None, tokens, is_first=True) == 21_000
    assert new_input_tokens(CONTINUED, None, tokens, is_first=False) is None
    assert new_input_tokens(differing("messages"), BEFORE, tokens, is_first=False) is None
    assert new_input_tokens(CONTINUED, BEFORE, counts(19_000, 0), is_first=False) == 0
    assert new_input_tokens(CONTINUED, BEFORE, TokenCounts(), is_first=False) is None


def test_what_was_missed_would_have_been_read_and_not_written() -> None:
    paid = counts(21_000, 0, 20_000, cache_creation_5m_tokens=1_000, cache_creation_1h_tokens=19_000)
    ideal = without_miss(paid, 19_000)
    assert (ideal.input_tokens, ideal.cache_read_tokens, ideal.cache_creation_tokens) == (21_000, 19_000, 1_000)
    assert (ideal.cache_creation_5m_tokens, ideal.cache_creation_1h_tokens) == (0, 1_000)
    assert paid.cache_read_tokens == 0
    assert without_miss(counts(21_000, 0), 128).cache_creation_tokens is None
