"""Token counts: None stays None, zero stays zero, and only thinking is ever estimated."""

from __future__ import annotations

import pytest

from lunaroute.dialects.facts import Usage
from lunaroute.stats import TokenCounts, count_tokens, estimate_tokens
from lunaroute.stats.counts import COUNTED
from lunaroute.stats.tokens import add_counts


def test_total_is_input_plus_output() -> None:
    assert count_tokens(Usage(input_tokens=10, output_tokens=5), "").total_tokens == 15


def test_what_the_provider_did_not_say_stays_unsaid() -> None:
    counts = count_tokens(None, "")
    assert counts == TokenCounts()
    assert counts.total_tokens is None
    assert counts.cached_tokens is None
    assert counts.thinking_percentage is None


def test_zero_is_a_number() -> None:
    counts = count_tokens(Usage(input_tokens=0, output_tokens=0, cache_read_tokens=0), "")
    assert (counts.total_tokens, counts.cached_tokens) == (0, 0)


def test_input_alone_is_a_total() -> None:
    assert count_tokens(Usage(input_tokens=2), "").total_tokens == 2


def test_reported_thinking_is_taken_even_if_zero() -> None:
    counts = count_tokens(Usage(output_tokens=50, thinking_tokens=0), "a long thought")
    assert (counts.thinking_tokens, counts.thinking_is_estimated) == (0, False)


def test_unreported_thinking_is_estimated_from_its_text_within_the_output() -> None:
    counts = count_tokens(Usage(output_tokens=100), "x" * 41)
    assert (counts.thinking_tokens, counts.thinking_is_estimated, counts.thinking_percentage) == (11, True, 11.0)
    assert count_tokens(Usage(output_tokens=7), "x" * 400).thinking_tokens == 7
    assert count_tokens(None, "x" * 400).thinking_tokens == 100


def test_estimates_count_bytes_not_characters() -> None:
    assert count_tokens(None, "思" * 4).thinking_tokens == 3
    assert [estimate_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]


@pytest.mark.parametrize("count", [-1, 1 << 53, 10**30])
def test_an_impossible_count_is_no_count(count: int) -> None:
    assert count_tokens(Usage(input_tokens=count, output_tokens=3), "").total_tokens == 3


def test_adding_keeps_unknown_apart_from_zero() -> None:
    total = TokenCounts()
    add_counts(total, TokenCounts(input_tokens=3, thinking_tokens=1, thinking_is_estimated=True))
    add_counts(total, TokenCounts(input_tokens=4, cache_read_tokens=0))
    assert (total.input_tokens, total.thinking_tokens, total.cache_read_tokens) == (7, 1, 0)
    assert total.output_tokens is None
    assert total.thinking_is_estimated


def test_every_count_adds_up() -> None:
    total = TokenCounts()
    for _ in range(2):
        add_counts(total, TokenCounts(**{name: number for number, name in enumerate(COUNTED, 1)}))
    assert [getattr(total, name) for name in COUNTED] == [2 * number for number in range(1, len(COUNTED) + 1)]


def test_what_adds_up_are_the_first_fields() -> None:
    assert TokenCounts.__struct_fields__[: len(COUNTED)] == COUNTED
