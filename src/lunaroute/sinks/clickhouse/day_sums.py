"""[pure] Sums of days that are over, kept as sums, so that a question about a year does not read its single exchanges.

A sum that an insert adds to counts a repeated insert twice. So these are not added to: a day that is over is summed as
a whole, from `exchange_sums`, in which a repeated row replaces itself, and its tool calls from `tool_call_executions`.
Should an exchange or a call of such a day still come, whoever writes it leaves a mark in `late_rows`, after the row and
before the session that counts it. A day's sums count
as long as there are as many marks of it as when it was summed (`summed_days`). From the first day of which that is not
so, `summed_until.since`, the views read single exchanges: an answer may come later, but is never a wrong one.

For a single server of today; elsewhere the views are those of `schema`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from .schema import HOUR_KEY, RETURNED_AT, SUMS

MARKED_DAYS: Final = 1
"""Exchanges and calls of days that ended before yesterday leave marks."""
SUMMED_AFTER_DAYS: Final = 2
"""Days are summed a day later than that: clocks of recorders may differ, and inserts take a while."""

_KEY: Final = ", ".join(HOUR_KEY)
_NAMES: Final = ", ".join(HOUR_KEY[1:])
_DAY_KEY: Final = f"day, {_NAMES}"
_DAY_OF_HOUR: Final = "substring(hour, 1, 10)"
_ADDED: Final = ", ".join(f"sum(one_{name}) AS {name}" for name in SUMS)
_SINCE: Final = "(SELECT since FROM summed_until)"
_SINCE_MOMENT: Final = f"toDateTime64(toDateOrZero({_SINCE}), 6, 'UTC')"
_SUMMED: Final = "(SELECT day, marks FROM summed_days FINAL)"

_TOOL_KEY: Final = "day, model_name, tool_name, execution_bucket"
"""The bucket is -1 where there is none."""
_TOOL_SUMS: Final = "call_count, result_count, error_count, total_execution_time_ms"


def ddl() -> list[str]:
    """After that of `schema`, whose views of the same names these replace."""
    single = f"SELECT {_KEY}, {_ADDED} FROM exchange_sums FINAL WHERE hour >= {_SINCE} GROUP BY {_KEY}"
    summed = (
        f"SELECT {_KEY}, {', '.join(SUMS)} FROM hour_sums FINAL"
        f" WHERE hour < {_SINCE} AND ({_DAY_OF_HOUR}, marks) IN {_SUMMED}"
    )
    of_days = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    return [
        "CREATE TABLE IF NOT EXISTS late_rows (day String, batch String) ENGINE = ReplacingMergeTree()"
        " ORDER BY (day, batch)",
        "CREATE TABLE IF NOT EXISTS summed_days (day String, marks Int64) ENGINE = ReplacingMergeTree(marks)"
        " ORDER BY day",
        "CREATE TABLE IF NOT EXISTS hour_sums ENGINE = ReplacingMergeTree(marks) PARTITION BY substring(hour, 1, 7)"
        f" ORDER BY ({_KEY}) AS {_hours('1 = 0', 0)}",
        "CREATE TABLE IF NOT EXISTS day_latencies ENGINE = ReplacingMergeTree(marks) PARTITION BY substring(day, 1, 7)"
        f" ORDER BY ({_DAY_KEY}, latency_bucket, ttft_bucket) AS {_latencies('1 = 0', 0)}",
        "CREATE TABLE IF NOT EXISTS tool_day_sums ENGINE = ReplacingMergeTree(marks) PARTITION BY substring(day, 1, 7)"
        f" ORDER BY ({_TOOL_KEY}) AS {_tools('1 = 0', '1 = 0', 0)}",
        f"CREATE VIEW IF NOT EXISTS summed_until AS SELECT least({_FIRST_LATE}, {_AFTER_LAST}) AS since",
        f"CREATE OR REPLACE VIEW hourly_stats AS {summed} UNION ALL {single}",
        f"CREATE OR REPLACE VIEW daily_stats AS SELECT {_DAY_OF_HOUR} AS day, provider, model_name, {of_days}"
        " FROM hourly_stats GROUP BY day, provider, model_name",
        f"CREATE VIEW IF NOT EXISTS bucket_days AS SELECT day, {_NAMES},"
        " nullIf(latency_bucket, -1) AS latency_bucket, nullIf(ttft_bucket, -1) AS ttft_bucket, exchanges"
        f" FROM day_latencies FINAL WHERE day < {_SINCE} AND (day, marks) IN {_SUMMED} UNION ALL SELECT"
        f" {_DAY_OF_HOUR} AS day, {_NAMES}, latency_bucket, ttft_bucket,"
        f" toInt64(1) AS exchanges FROM exchange_sums FINAL WHERE exchange_sums.hour >= {_SINCE}",
        f"CREATE VIEW IF NOT EXISTS tool_days AS SELECT {_TOOL_KEY}, {_TOOL_SUMS} FROM tool_day_sums FINAL"
        f" WHERE day < {_SINCE} AND (day, marks) IN {_SUMMED} UNION ALL"
        f" {_calls(f'called_at >= {_SINCE_MOMENT}', f'{RETURNED_AT} >= {_SINCE_MOMENT}')}",
    ]


_FIRST_LATE: Final = (
    "ifNull((SELECT min(l.day) FROM (SELECT day, toInt64(count()) AS marks FROM late_rows FINAL GROUP BY day) AS l"
    " LEFT JOIN (SELECT day, marks FROM summed_days FINAL) AS s ON s.day = l.day WHERE l.marks != s.marks"
    " HAVING count() > 0), '9999')"
)
_AFTER_LAST: Final = (
    "ifNull((SELECT toString(addDays(toDate(max(day)), 1)) FROM summed_days HAVING count() > 0), '0000')"
)


def days_before(day: str) -> list[str]:
    """The questions which days there are before this one."""
    moments = [
        f"SELECT DISTINCT {_day(moment)} AS day FROM tool_call_executions WHERE {moment} < '{day} 00:00:00.000000'"
        for moment in ("called_at", "returned_at")
    ]
    return [f"SELECT DISTINCT {_DAY_OF_HOUR} AS day FROM exchange_sums WHERE hour < '{day}'", *moments]


def sum_day(day: str, marks: int) -> list[str]:
    """The statements that sum a day, `YYYY-MM-DD`, of which there are so many marks; each may be executed again."""
    after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    of_day = f"hour >= '{day}' AND hour < '{after}'"
    called, returned = _of_day("called_at", day, after), _of_day(RETURNED_AT, day, after)
    return [
        f"INSERT INTO hour_sums {_hours(of_day, marks)}",
        f"INSERT INTO day_latencies {_latencies(of_day, marks)}",
        f"INSERT INTO tool_day_sums {_tools(called, returned, marks)}",
        f"INSERT INTO summed_days VALUES ('{day}', {marks})",
    ]


def _hours(condition: str, marks: int) -> str:
    return (
        f"SELECT {_KEY}, {_ADDED}, toInt64({marks}) AS marks FROM exchange_sums FINAL WHERE {condition} GROUP BY {_KEY}"
    )


def _latencies(condition: str, marks: int) -> str:
    """Each exchange once in the row of its latency, and once in that of its time to first token."""
    parts = []
    for latency, ttft, measured in (
        ("assumeNotNull(latency_bucket)", "toInt64(-1)", "latency_bucket"),
        ("toInt64(-1)", "assumeNotNull(ttft_bucket)", "ttft_bucket"),
    ):
        parts.append(
            f"SELECT {_DAY_OF_HOUR} AS day, {_NAMES}, {latency} AS l, {ttft} AS t,"
            f" toInt64(count()) AS n, toInt64({marks}) AS marks FROM exchange_sums FINAL"
            f" WHERE {condition} AND {measured} IS NOT NULL GROUP BY {_DAY_KEY}, l, t"
        )
    columns = f"{_DAY_KEY}, l AS latency_bucket, t AS ttft_bucket, n AS exchanges, marks"
    return f"SELECT {columns} FROM ({' UNION ALL '.join(parts)})"


def _of_day(moment: str, day: str, after: str) -> str:
    return f"{moment} >= '{day} 00:00:00.000000' AND {moment} < '{after} 00:00:00.000000'"


def _tools(called: str, returned: str, marks: int) -> str:
    added = ", ".join(f"sum(c.{name}) AS {name}" for name in _TOOL_SUMS.split(", "))
    return (
        f"SELECT {_TOOL_KEY}, {added}, toInt64({marks}) AS marks FROM ({_calls(called, returned)}) AS c"
        f" GROUP BY {_TOOL_KEY}"
    )


def _calls(called: str, returned: str) -> str:
    """A row for each call that was made and one for each result that came, each on its own day; of these conditions."""
    names = "ifNull(model_name, '') AS model_name, tool_name"
    return (
        f"SELECT {_day('called_at')} AS day, {names}, toInt64(-1) AS execution_bucket, toInt64(1) AS call_count,"
        " toInt64(0) AS result_count, toInt64(0) AS error_count, toFloat64(0) AS total_execution_time_ms"
        f" FROM tool_call_executions FINAL WHERE called_at IS NOT NULL AND {called} UNION ALL"
        f" SELECT {_day('returned_at')} AS day, {names}, ifNull(execution_bucket, toInt64(-1)) AS execution_bucket,"
        " toInt64(0) AS call_count, toInt64(1) AS result_count, toInt64(ifNull(success = 0, 0)) AS error_count,"
        " round(ifNull(execution_time_ms, 0), 6) AS total_execution_time_ms"
        f" FROM tool_call_executions FINAL WHERE returned_at IS NOT NULL AND {returned}"
    )


def _day(moment: str) -> str:
    return f"substring(toString(assumeNotNull({moment})), 1, 10)"
