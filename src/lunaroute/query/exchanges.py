"""Exchanges and tool calls from the index, newest first.

In: a filter. Out: pages of `ExchangeSummary` and `CallSummary`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from .conditions import compile_filter, within
from .filter import EVERYTHING, Filter
from .fragment import Sql, limited
from .newest import has_words, newest_rows, said_since
from .pages import Page, make_page, read_cursor
from .stores.base import Index
from .stores.opening import dialect_of
from .values import resolve


class ExchangeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange; names and meaning are those of the `session_stats` table."""

    request_id: str
    session_id: str
    started_at: str
    """`YYYY-MM-DD HH:MM:SS.ffffff`, UTC."""
    completed_at: str | None
    """None = still open."""
    provider: str | None
    dialect: str | None
    method: str | None
    target: str | None
    model_name: str | None
    is_streaming: bool | None
    status_code: int | None
    outcome: str | None
    success: bool | None
    finish_reason: str | None
    error_type: str | None
    error_message: str | None
    provider_latency_ms: float | None
    time_to_first_byte_ms: float | None
    time_to_first_token_ms: float | None
    total_proxy_overhead_ms: float | None
    total_duration_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    total_tokens: int | None
    tokens_per_second: float | None
    tool_call_count: int | None
    total_cost_usd: float | None
    request_size_bytes: int | None
    response_size_bytes: int | None


class CallSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call; names and meaning are those of the `tool_call_executions` table."""

    session_id: str
    request_id: str
    result_request_id: str | None
    model_name: str | None
    tool_name: str
    tool_call_id: str | None
    arguments: str
    called_at: str | None
    returned_at: str | None
    execution_time_ms: float | None
    is_shared_bound: bool | None
    input_size_bytes: int
    output_size_bytes: int | None
    success: bool | None
    error: str | None


_Row = TypeVar("_Row", ExchangeSummary, CallSummary)
_EXCHANGE_COLUMNS = ", ".join(f"e.{name}" for name in ExchangeSummary.__struct_fields__)
_CALL_COLUMNS = ", ".join(f"c.{name}" for name in CallSummary.__struct_fields__)


def list_exchanges(
    connection: Index, wanted: Filter = EVERYTHING, *, limit: int | None = 50, after: str | None = None
) -> Page[ExchangeSummary]:
    """At most `limit` exchanges that began in the time asked for, the newest first. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    dialect = dialect_of(connection)
    place, after_id = within(wanted, "e.started_at"), None
    if after is not None:
        key = read_cursor(after, tuple[str, str])
        place, after_id = place & Sql("(e.started_at, e.request_id) < (?, ?)", key), key[1]

    def ask(began: datetime | None, before: datetime | None) -> list[Any]:
        condition = compile_filter(wanted, "exchanges", dialect, said_since(began)) & place
        condition &= within(Filter(since=began, until=before), "e.started_at")
        return connection.execute(
            f"SELECT {_EXCHANGE_COLUMNS} FROM {dialect.exchanges} WHERE {condition.text}"
            f" ORDER BY e.started_at DESC, e.request_id DESC{limited(limit)}",
            condition.parameters,
        ).fetchall()

    rows = newest_rows(connection, wanted, limit, after_id, ask) if has_words(wanted) else ask(None, None)
    items = [_typed(ExchangeSummary, row) for row in rows]
    return make_page(items, limit, [(one.started_at, one.request_id) for one in items])


def list_calls(
    connection: Index, wanted: Filter = EVERYTHING, *, limit: int | None = 50, after: str | None = None
) -> Page[CallSummary]:
    """At most `limit` tool calls asked for in the time asked for, the newest first. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    dialect = dialect_of(connection)
    place, after_id = within(wanted, "c.called_at"), None
    if after is not None:
        key = read_cursor(after, tuple[str, str, int])
        place, after_id = place & Sql("(c.called_at, c.request_id, c.call_number) < (?, ?, ?)", key), key[1]

    def ask(began: datetime | None, before: datetime | None) -> list[Any]:
        condition = compile_filter(wanted, "calls", dialect, said_since(began)) & place
        condition &= within(Filter(since=began, until=before), "c.called_at")
        return connection.execute(
            f"SELECT c.call_number, {_CALL_COLUMNS} FROM {dialect.calls}"
            f" WHERE c.called_at IS NOT NULL AND {condition.text}"
            f" ORDER BY c.called_at DESC, c.request_id DESC, c.call_number DESC{limited(limit)}",
            condition.parameters,
        ).fetchall()

    rows = newest_rows(connection, wanted, limit, after_id, ask)
    items = [_typed(CallSummary, row[1:]) for row in rows]
    keys = [(one.called_at, one.request_id, row[0]) for one, row in zip(items, rows, strict=True)]
    return make_page(items, limit, keys)


def _typed(kind: type[_Row], row: tuple[object, ...]) -> _Row:
    # SQLite has no truth values: 0 and 1 become what the struct says.
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind, strict=False)
