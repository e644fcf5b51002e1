"""[pure] The SQL that stores events, made from the column lists of `schema` and `columns`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final

import msgspec

from lunaroute.sinks.tables.columns import HourRow, LatencyRow, SessionRow, ToolDayRow
from lunaroute.sinks.tables.exchange_columns import REQUEST_COLUMNS, RESPONSE_COLUMNS
from lunaroute.sinks.tables.rows import Values

SESSION_COLUMNS: Final = SessionRow.__struct_fields__
_SESSION_FIXED: Final = ("session_id", "request_id", "started_at")


def _insert(table: str, columns: Iterable[str]) -> str:
    names = tuple(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _assign(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = ?" for name in columns)


def _take_new(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns)


class Insert:
    """Rows for a table."""

    def __init__(self, table: str, columns: tuple[str, ...], on_conflict: str = "") -> None:
        self.columns = columns
        self._table = table
        self._on_conflict = on_conflict
        self.whole = self.of(columns)

    def of(self, columns: Iterable[str]) -> str:
        """The statement that fills in these columns."""
        return f"{_insert(self._table, columns)}{self._on_conflict}"


SESSION_CHANGING: Final = tuple(name for name in SESSION_COLUMNS if name not in _SESSION_FIXED)
SELECT_SESSION: Final = f"SELECT {', '.join(SESSION_COLUMNS)} FROM sessions WHERE session_id = ?"
SELECT_IS_SESSION: Final = "SELECT 1 FROM sessions WHERE session_id = ?"
INSERT_SESSION: Final = Insert("sessions", SESSION_COLUMNS)
UPDATE_SESSION: Final = f"UPDATE sessions SET {_assign(SESSION_CHANGING)} WHERE session_id = ?"

INSERT_EXCHANGE: Final = Insert("session_stats", (*REQUEST_COLUMNS, *RESPONSE_COLUMNS))
UPDATE_EXCHANGE: Final = f"UPDATE session_stats SET {_assign(RESPONSE_COLUMNS)} WHERE request_id = ?"
SELECT_ANSWERED: Final = (
    "SELECT e.request_id, s.request_id FROM session_stats e JOIN sessions s USING (session_id)"
    " WHERE e.request_id = ? AND e.outcome IS NOT NULL"
)
SELECT_EXCHANGE: Final = "SELECT started_at, provider, model_requested FROM session_stats WHERE request_id = ?"

INSERT_TOOL_CALL: Final = _insert(
    "tool_calls",
    (
        "session_id",
        "request_id",
        "model_name",
        "tool_name",
        "call_count",
        "total_execution_time_ms",
        "avg_execution_time_ms",
        "error_count",
    ),
)
_CALL_COLUMNS: Final = (
    "session_id",
    "request_id",
    "model_name",
    "tool_name",
    "tool_call_id",
    "call_number",
    "arguments",
    "called_at",
    "input_size_bytes",
)
"""As `execution_values` gives them."""
_RESULT_ROW_COLUMNS: Final = (
    "session_id",
    "request_id",
    "result_request_id",
    "model_name",
    "tool_name",
    "tool_call_id",
    "arguments",
    "returned_at",
    "execution_time_ms",
    "is_shared_bound",
    "input_size_bytes",
    "output_size_bytes",
    "success",
    "error",
    "exit_code",
    "success_evidence",
    "success_confidence",
    "parallel_count",
)
"""As `result_values` gives them."""
_RESULT_COLUMNS: Final = tuple(name for name in _RESULT_ROW_COLUMNS if name not in _CALL_COLUMNS)
result_part: Final[Callable[[Values], Values]] = itemgetter(*map(_RESULT_ROW_COLUMNS.index, _RESULT_COLUMNS))
"""`result_values` → what a call's row has of its result."""
NO_RESULT: Final = (None,) * len(_RESULT_COLUMNS)
DURATION_AT: Final = len(_CALL_COLUMNS) + _RESULT_COLUMNS.index("execution_time_ms")
SUCCESS_AT: Final = len(_CALL_COLUMNS) + _RESULT_COLUMNS.index("success")
"""Where they are in a row of INSERT_EXECUTION."""
_EXECUTION_KEY: Final = ("request_id", "tool_call_id")
# A result may already be there: a re-index reads session by session, and a call's result can stand in another one. It
# stays, unless the row has another.
INSERT_EXECUTION: Final = Insert(
    "tool_call_executions",
    (*_CALL_COLUMNS, *_RESULT_COLUMNS),
    f" ON CONFLICT ({', '.join(_EXECUTION_KEY)}) DO UPDATE SET "
    + _take_new(name for name in _CALL_COLUMNS if name not in _EXECUTION_KEY)
    + "".join(f", {name} = iif(excluded.returned_at IS NULL, {name}, excluded.{name})" for name in _RESULT_COLUMNS),
)
INSERT_RESULT: Final = (
    f"{_insert('tool_call_executions', _RESULT_ROW_COLUMNS)} ON CONFLICT ({', '.join(_EXECUTION_KEY)}) DO UPDATE SET "
    + _take_new(_RESULT_COLUMNS)
)
SELECT_LAST_EXECUTION: Final = "SELECT coalesce(max(rowid), 0) FROM tool_call_executions"
# Recomputed rather than added to, so that it does not matter which of call and result came first.
UPDATE_TOOL_CALL: Final = (
    "UPDATE tool_calls SET (total_execution_time_ms, avg_execution_time_ms, error_count) ="
    " (SELECT sum(execution_time_ms), avg(execution_time_ms), count(*) FILTER (WHERE success = 0)"
    " FROM tool_call_executions AS one"
    " WHERE one.request_id = tool_calls.request_id AND one.tool_name = tool_calls.tool_name)"
    " WHERE request_id = ? AND tool_name = ?"
)


class RollupSql(msgspec.Struct, frozen=True):
    """A table of sums: its key, its amounts, and how they are read and written."""

    key: tuple[str, ...]
    amounts: tuple[str, ...]
    select: str
    upsert: str


def _rollup(table: str, key: tuple[str, ...], amounts: tuple[str, ...]) -> RollupSql:
    wanted = " AND ".join(f"{name} = ?" for name in key)
    return RollupSql(
        key=key,
        amounts=amounts,
        select=f"SELECT {', '.join(amounts)} FROM {table} WHERE {wanted}",
        upsert=f"{_insert(table, (*key, *amounts))} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {_take_new(amounts)}",
    )


HISTOGRAMS: Final = frozenset(("latency_histogram", "ttft_histogram", "execution_histogram"))
_HOUR_KEY: Final = ("hour", "provider", "model_name", "client_name")
HOURLY: Final = _rollup("hourly_stats", _HOUR_KEY, HourRow.__struct_fields__[4:])
DAILY: Final = _rollup("daily_stats", ("day", "provider", "model_name"), HourRow.__struct_fields__[4:])
LATENCIES: Final = _rollup("hourly_latencies", _HOUR_KEY, LatencyRow.__struct_fields__[4:])
LATENCY_DAYS: Final = _rollup("daily_latencies", ("day", *_HOUR_KEY[1:]), LatencyRow.__struct_fields__[4:])
TOOL_DAYS: Final = _rollup(
    "daily_tool_stats", ("day", "model_name", "client_name", "tool_name"), ToolDayRow.__struct_fields__[4:]
)

INSERT_FACET: Final = "INSERT OR IGNORE INTO session_facets (kind, value, session_id) VALUES (?, ?, ?)"

SELECT_LAST_TEXT_ID: Final = "SELECT coalesce(max(text_id), 0) FROM texts"
INSERT_TEXT: Final = _insert("texts", ("text_id", "session_id", "request_id", "kind", "content"))
INSERT_SEARCH: Final = _insert("text_search", ("rowid", "content"))
