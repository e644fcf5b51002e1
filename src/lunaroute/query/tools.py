"""Tools: how often each was called, how often it failed, how long it took.

In: a filter. Out: `ToolUsage` values, the most called first. A call counts on the day the model asked for it; results,
failures and times on the day the result came. From the roll-ups by day where the filter asks for nothing but time and
what they are kept by (and from single calls for parts of a day); else from the single calls.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from lunaroute.stats import histogram

from .conditions import compile_filter
from .filter import EVERYTHING, Among, Filter
from .fragment import ALWAYS, Sql, is_among
from .latency import Percentiles, percentiles
from .moments import sql_moment
from .spans import Span, cut
from .stores.base import Index
from .stores.opening import dialect_of
from .values import resolve
from .ways import way_to_calls

_ROLLED_UP: Final = {"model": "model_name", "client": "client_name", "tool": "tool_name"}
_COUNTED: Final = {"model": "model_name", "tool": "tool_name"}
"""What `Dialect.tool_days` are kept by."""


class ToolUsage(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    call_count: int
    result_count: int
    """Results that came; fewer than calls where one is still waited for."""
    error_count: int
    total_execution_time_ms: float
    execution: Percentiles
    execution_buckets: list[tuple[float, int]]


class _Sums(msgspec.Struct):
    call_count: int = 0
    result_count: int = 0
    error_count: int = 0
    total_execution_time_ms: float = 0.0
    execution: int = histogram.EMPTY


_Part = tuple[str, int, int, int, float, int]
"""Tool, and the fields of `_Sums`."""


def tool_usage(connection: Index, wanted: Filter = EVERYTHING, *, has_percentiles: bool = True) -> list[ToolUsage]:
    """Without `has_percentiles` for a fraction of the time, `execution` then being of no calls. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    totals: defaultdict[str, _Sums] = defaultdict(_Sums)
    for part in _parts(connection, wanted, has_percentiles=has_percentiles):
        tool, calls, results, errors, total_ms, execution = part
        sums = totals[tool]
        sums.call_count += calls
        sums.result_count += results
        sums.error_count += errors
        sums.total_execution_time_ms += total_ms
        sums.execution += execution
    found = [_usage(tool, sums) for tool, sums in totals.items()]
    return sorted(found, key=lambda one: (-one.call_count, one.tool))


def _parts(connection: Index, wanted: Filter, *, has_percentiles: bool) -> Iterator[_Part]:
    dialect = dialect_of(connection)
    rolled_up = _ROLLED_UP if not dialect.has_buckets else _COUNTED if dialect.tool_days else {}
    if not rolled_up or not all(isinstance(one, Among) and one.field in rolled_up for one in wanted.conditions):
        since, until = (None if moment is None else sql_moment(moment) for moment in (wanted.since, wanted.until))
        yield from _single(connection, wanted, Span(since, until), has_percentiles=has_percentiles)
        return
    times = cut(wanted.since, wanted.until, "day")
    for edge in times.edges:
        yield from _single(connection, wanted, edge, has_percentiles=has_percentiles)
    if times.whole is not None:
        yield from _days(connection, wanted, times.whole, has_percentiles=has_percentiles)


def _days(connection: Index, wanted: Filter, whole: Span, *, has_percentiles: bool) -> Iterator[_Part]:
    condition = ALWAYS
    if whole.since is not None:
        condition &= Sql("day >= ?", (whole.since[:10],))
    if whole.until is not None:
        condition &= Sql("day < ?", (whole.until[:10],))
    for one in wanted.conditions:
        assert isinstance(one, Among)
        condition &= is_among(_ROLLED_UP[one.field], one.names, is_negated=one.is_negated)
    tool_days = dialect_of(connection).tool_days
    if tool_days:
        yield from _counted_days(connection, tool_days, condition, has_percentiles=has_percentiles)
        return
    sums = ("call_count", "result_count", "error_count", "total_execution_time_ms")
    if has_percentiles:
        columns, tail = f"{', '.join(sums)}, execution_histogram", ""
    else:
        columns, tail = f"{', '.join(f'sum({one})' for one in sums)}, NULL", " GROUP BY tool_name"
    rows = connection.execute(
        f"SELECT tool_name, {columns} FROM daily_tool_stats WHERE {condition.text}{tail}", condition.parameters
    )
    for *amounts, execution in rows:
        yield (*amounts, histogram.unpack(execution))


def _counted_days(connection: Index, days: str, condition: Sql, *, has_percentiles: bool) -> Iterator[_Part]:
    """Sums of the same tool and bucket, -1 being none."""
    bucket, tail = ("execution_bucket", ", execution_bucket") if has_percentiles else ("-1", "")
    rows = connection.execute(
        "SELECT tool_name, sum(call_count), sum(result_count), sum(error_count), sum(total_execution_time_ms),"
        f" {bucket} FROM {days} WHERE {condition.text} GROUP BY tool_name{tail}",
        condition.parameters,
    )
    for tool, calls, results, errors, total_ms, bucket_of_rows in rows:
        execution = histogram.EMPTY if bucket_of_rows < 0 else histogram.of_bucket(bucket_of_rows, results)
        yield tool, calls, results, errors, round(total_ms, 6), execution


def _single(connection: Index, wanted: Filter, span: Span, *, has_percentiles: bool) -> Iterator[_Part]:
    dialect = dialect_of(connection)
    condition, source = compile_filter(wanted, "calls", dialect), dialect.calls
    way = way_to_calls(wanted) if dialect.is_told_the_way else None
    if way is not None:
        source, condition = f"{source} INDEXED BY {way.index}", way.condition & condition
    called = _in_span(condition & Sql("c.called_at IS NOT NULL"), "c.called_at", span)
    for tool, calls in connection.execute(
        f"SELECT c.tool_name, count(*) FROM {source} WHERE {called.text} GROUP BY c.tool_name", called.parameters
    ):
        yield tool, calls, 0, 0, 0.0, histogram.EMPTY
    returned = _in_span(condition & Sql("c.returned_at IS NOT NULL"), dialect.returned_at, span)
    if dialect.has_buckets or not has_percentiles:
        yield from _counted(connection, source, returned, has_percentiles=has_percentiles)
        return
    times: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for tool, success, took_ms in connection.execute(
        f"SELECT c.tool_name, c.success, c.execution_time_ms FROM {source} WHERE {returned.text}", returned.parameters
    ):
        # Rounded like the sums of days, so that it does not matter which of them answer.
        yield tool, 0, 1, success == 0, round(took_ms or 0.0, 6), histogram.EMPTY
        if took_ms is not None:
            times[tool].append(took_ms)
    for tool, took in times.items():
        yield tool, 0, 0, 0, 0.0, histogram.of(took)


def _counted(connection: Index, source: str, returned: Sql, *, has_percentiles: bool) -> Iterator[_Part]:
    """The store has counted results of the same tool and bucket."""
    bucket, tail = ("c.execution_bucket", ", c.execution_bucket") if has_percentiles else ("NULL", "")
    rows = connection.execute(
        "SELECT c.tool_name, count(*), sum(CASE WHEN NOT c.success THEN 1 ELSE 0 END),"
        f" sum(coalesce(c.execution_time_ms, 0)), {bucket} FROM {source}"
        f" WHERE {returned.text} GROUP BY c.tool_name{tail}",
        returned.parameters,
    )
    for tool, results, errors, total_ms, bucket_of_rows in rows:
        execution = histogram.EMPTY if bucket_of_rows is None else histogram.of_bucket(bucket_of_rows, results)
        yield tool, 0, results, errors, round(total_ms, 6), execution


def _in_span(condition: Sql, column: str, span: Span) -> Sql:
    if span.since is not None:
        condition &= Sql(f"{column} >= ?", (span.since,))
    if span.until is not None:
        condition &= Sql(f"{column} < ?", (span.until,))
    return condition


def _usage(tool: str, sums: _Sums) -> ToolUsage:
    return ToolUsage(
        tool=tool,
        call_count=sums.call_count,
        result_count=sums.result_count,
        error_count=sums.error_count,
        total_execution_time_ms=sums.total_execution_time_ms,
        execution=percentiles(sums.execution),
        execution_buckets=histogram.buckets(sums.execution),
    )
