"""How evenly streams arrive: histograms of the pauses between their chunks, and of the time for each output token.

In: a filter. Out: one `Gaps`, of the newest MOST_STREAMS streams that it lets through, as the index keeps these numbers
with each exchange and nowhere summed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lunaroute.stats import histogram

from .conditions import compile_filter, within
from .filter import EVERYTHING, Filter
from .fragment import Sql
from .stores.base import Index
from .stores.opening import dialect_of
from .values import resolve

MOST_STREAMS: Final = 10_000

Buckets = list[tuple[float, int]]


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """(milliseconds, streams) of each bucket that is not empty."""

    streams: int
    p50_buckets: Buckets
    """Median pause of a stream; the others likewise."""
    p95_buckets: Buckets
    max_buckets: Buckets
    token_buckets: Buckets
    """Streaming time by output token, thinking included."""


def stream_gaps(connection: Index, wanted: Filter = EVERYTHING) -> Gaps:
    """Raises FilterError, sqlite3.Error."""
    dialect = dialect_of(connection)
    asked = compile_filter(resolve(connection, wanted), "exchanges", dialect) & within(wanted, "e.started_at")
    condition = Sql("e.outcome IS NOT NULL AND e.chunk_gap_p50_ms IS NOT NULL") & asked
    rows = connection.execute(
        "SELECT e.chunk_gap_p50_ms, e.chunk_gap_p95_ms, e.chunk_gap_max_ms,"
        " e.streaming_duration_ms / nullif(e.output_tokens, 0)"
        # In the order of time, so that the newest are found first whatever the filter.
        f" FROM {dialect.exchanges_by_time} WHERE {condition.text}"
        f" ORDER BY e.started_at DESC LIMIT {MOST_STREAMS}",
        condition.parameters,
    ).fetchall()
    p50, p95, longest, by_token = (_counted([row[at] for row in rows]) for at in range(4))
    return Gaps(streams=len(rows), p50_buckets=p50, p95_buckets=p95, max_buckets=longest, token_buckets=by_token)


def _counted(durations_ms: list[float | None]) -> Buckets:
    counted = histogram.EMPTY
    for one in durations_ms:
        if one is not None:
            counted += histogram.one(one)
    return histogram.buckets(counted)
