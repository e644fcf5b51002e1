"""Percentiles, by linear interpolation between the two nearest ranks (the default of NumPy, pandas and most SQL
engines' PERCENTILE_CONT), so that a number here can be checked against a query over the single exchanges."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """The percentile of values sorted in ascending order; None of no values."""
    if not ascending:
        return None
    rank = (len(ascending) - 1) * percent / 100
    below = int(rank)
    share = rank - below
    if share == 0:
        return ascending[below]
    return ascending[below] + (ascending[below + 1] - ascending[below]) * share
