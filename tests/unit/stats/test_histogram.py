"""Percentiles of a histogram are within 2 % of those of the durations, for any durations."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.stats import histogram
from lunaroute.stats.percentile import percentile

durations = st.lists(st.floats(0.1, 3.6e7), min_size=1, max_size=60)


def _of(values: list[float]) -> int:
    return sum(histogram.one(value) for value in values)


@given(durations, st.sampled_from([0, 50, 90, 95, 99, 100]))
def test_a_percentile_is_within_two_percent(values: list[float], percent: float) -> None:
    exact = percentile(sorted(values), percent)
    assert histogram.percentile(_of(values), percent) == pytest.approx(exact, rel=0.02)


@given(durations)
def test_many_at_once_are_the_sum_of_each(values: list[float]) -> None:
    assert histogram.of(values) == _of(values)


@given(durations)
def test_what_is_stored_comes_back(values: list[float]) -> None:
    counted = _of(values)
    assert histogram.unpack(histogram.pack(counted)) == counted
    assert sum(count for _, count in histogram.buckets(counted)) == len(values)


def test_ten_thousand_latencies_are_told_like_a_few() -> None:
    dice = random.Random(7)
    values = [dice.lognormvariate(8, 1.2) for _ in range(10_000)]
    for percent in (1, 50, 95, 99.9):
        exact = percentile(sorted(values), percent)
        assert histogram.percentile(_of(values), percent) == pytest.approx(exact, rel=0.02)


def test_nothing_measured_is_nothing_said() -> None:
    assert histogram.pack(histogram.EMPTY) is None
    assert histogram.unpack(None) == histogram.EMPTY
    assert histogram.percentile(histogram.EMPTY, 50) is None


@pytest.mark.parametrize("duration_ms", [0.0, 0.05, 1e12])
def test_durations_beyond_the_scale_count_at_its_ends(duration_ms: float) -> None:
    assert len(histogram.buckets(histogram.one(duration_ms))) == 1
