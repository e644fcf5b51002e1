"""Percentiles of latency and time to first token, by hour, day, provider, model or client.

In: a filter and what to group by. Out: `Latency` values. From the histograms of the roll-ups (within 2 %;
`stats.histogram`), and for what they do not keep, from the single exchanges counted in the same way.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from lunaroute.stats import histogram

from .filter import EVERYTHING, Filter
from .fragment import Sql
from .spans import Span, cut_finely
from .stores.base import Index
from .stores.opening import dialect_of
from .usage import GROUPS, KEY, Dimension, ended_exchanges, exchange_key, is_rolled_up, of_rollup
from .values import resolve


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds, each within 2 %; None = nothing was measured."""

    count: int
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """A group of exchanges. What was not grouped by is None."""

    hour: str | None = None
    day: str | None = None
    provider: str | None = None
    model: str | None = None
    client: str | None = None
    latency: Percentiles
    """Request sent → last byte."""
    ttft: Percentiles
    """Request sent → first token; streams only."""
    latency_buckets: list[tuple[float, int]]
    """(milliseconds, exchanges) for charts."""
    ttft_buckets: list[tuple[float, int]]


_Key = tuple[str, ...]


def latencies(connection: Index, wanted: Filter = EVERYTHING, by: Sequence[Dimension] = ()) -> list[Latency]:
    """A value for each group, in the order of the groups. Exchanges count where they began. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    totals: defaultdict[_Key, list[int]] = defaultdict(lambda: [histogram.EMPTY, histogram.EMPTY])
    for key, latency, ttft in _parts(connection, wanted, by):
        total = totals[key]
        total[0] += latency
        total[1] += ttft
    return [_latency(by, key, *totals[key]) for key in sorted(totals)]


def merged(groups: Sequence[Latency]) -> Latency | None:
    """All groups as one; the same as asking without groups, for less. None of none."""
    if not groups:
        return None
    latency, ttft = (_merged([getattr(one, name) for one in groups]) for name in ("latency_buckets", "ttft_buckets"))
    return Latency(latency=_percentiles(latency), ttft=_percentiles(ttft), latency_buckets=latency, ttft_buckets=ttft)


def _merged(histograms: Sequence[list[tuple[float, int]]]) -> list[tuple[float, int]]:
    # Buckets are the same everywhere, so what stands for one is its name.
    counts: Counter[float] = Counter()
    for buckets in histograms:
        counts.update(dict(buckets))
    return sorted(counts.items())


def percentiles(counted: int) -> Percentiles:
    """Of one histogram."""
    return _percentiles(histogram.buckets(counted))


def _percentiles(found: list[tuple[float, int]]) -> Percentiles:
    p50, p90, p95, p99, longest = histogram.percentiles_of(found, (50, 90, 95, 99, 100))
    count = sum(count for _, count in found)
    return Percentiles(count=count, p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99, max_ms=longest)


def _parts(connection: Index, wanted: Filter, by: Sequence[Dimension]) -> Iterator[tuple[_Key, int, int]]:
    """(values of `by`, latencies, times to first token), several of the same values."""
    if not is_rolled_up(wanted):
        yield from _exchanges(connection, wanted, None, by)
        return
    dialect = dialect_of(connection)
    has_days = bool(dialect.bucket_days) if dialect.has_buckets else dialect.has_days
    times = cut_finely(wanted.since, wanted.until, has_days=has_days and "hour" not in by)
    for edge in times.edges:
        yield from _exchanges(connection, wanted, edge, by)
    for span in times.hours:
        condition = of_rollup(wanted, span, "hour")
        if dialect.has_buckets:
            yield from _counted(connection, _buckets(dialect.hourly_latencies, "hour", condition), by)
        else:
            yield from _kept(connection, "hourly_latencies", _columns(by), condition)
    for span in times.days:
        condition = of_rollup(wanted, span, "day")
        if dialect.has_buckets:
            yield from _counted(connection, _buckets(dialect.bucket_days, "day AS hour", condition), by)
            continue
        # "day" is a column there.
        columns = "".join(f"{'day' if one == 'day' else GROUPS[one]}, " for one in by)
        yield from _kept(connection, "daily_latencies", columns, condition)


def _buckets(table: str, hour: str, condition: Sql) -> Sql:
    columns = f"{', '.join((hour, *KEY[1:]))}, latency_bucket, ttft_bucket, exchanges"
    return Sql(f"SELECT {columns} FROM {table} WHERE {condition.text}", condition.parameters)


def _kept(connection: Index, table: str, columns: str, condition: Sql) -> Iterator[tuple[_Key, int, int]]:
    rows = connection.execute(
        f"SELECT {columns}latency_histogram, ttft_histogram FROM {table} WHERE {condition.text}", condition.parameters
    )
    for *key, latency, ttft in rows:
        yield tuple(key), histogram.unpack(latency), histogram.unpack(ttft)


def _exchanges(
    connection: Index, wanted: Filter, span: Span | None, by: Sequence[Dimension]
) -> Iterator[tuple[_Key, int, int]]:
    dialect = dialect_of(connection)
    source = ended_exchanges(connection, wanted, span)
    if dialect.has_buckets:
        columns = "e.latency_bucket AS latency_bucket, e.ttft_bucket AS ttft_bucket, 1 AS exchanges"
        keyed = Sql(f"SELECT {exchange_key(dialect)}, {columns} FROM {source.text}", source.parameters)
        yield from _counted(connection, keyed, by)
        return
    parts = f"SELECT {exchange_key(dialect)}, e.provider_latency_ms, e.time_to_first_token_ms FROM {source.text}"
    rows = connection.execute(
        f"SELECT {_columns(by)}provider_latency_ms, time_to_first_token_ms FROM ({parts}) AS parts", source.parameters
    )
    measured: defaultdict[_Key, tuple[array[float], array[float]]] = defaultdict(lambda: (array("d"), array("d")))
    for *key, latency_ms, ttft_ms in rows:
        latency_times, ttft_times = measured[tuple(key)]
        if latency_ms is not None:
            latency_times.append(latency_ms)
        if ttft_ms is not None:
            ttft_times.append(ttft_ms)
    for group, (latency_times, ttft_times) in measured.items():
        yield group, histogram.of(latency_times), histogram.of(ttft_times)


def _counted(connection: Index, source: Sql, by: Sequence[Dimension]) -> Iterator[tuple[_Key, int, int]]:
    """The store has counted exchanges with the same key and buckets."""
    names = f"{''.join(f'{one}_, ' for one in by)}latency_bucket, ttft_bucket"
    keys = "".join(f"{GROUPS[one]} AS {one}_, " for one in by)
    text = f"SELECT {keys}latency_bucket, ttft_bucket, sum(exchanges) FROM ({source.text}) AS buckets GROUP BY {names}"
    for *key, latency, ttft, count in connection.execute(text, source.parameters):
        yield tuple(key), _some(latency, count), _some(ttft, count)


def _some(bucket: int | None, count: int) -> int:
    return histogram.EMPTY if bucket is None else histogram.of_bucket(bucket, count)


def _columns(by: Sequence[Dimension]) -> str:
    return "".join(f"{GROUPS[one]}, " for one in by)


def _latency(by: Sequence[Dimension], key: _Key, latency: int, ttft: int) -> Latency:
    latency_buckets, ttft_buckets = histogram.buckets(latency), histogram.buckets(ttft)
    return Latency(
        **dict(zip(by, key, strict=True)),
        latency=_percentiles(latency_buckets),
        ttft=_percentiles(ttft_buckets),
        latency_buckets=latency_buckets,
        ttft_buckets=ttft_buckets,
    )
