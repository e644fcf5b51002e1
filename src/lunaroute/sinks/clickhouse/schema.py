"""[pure] The tables in ClickHouse: one set of statements for servers of today, one for old ones.

Names and meaning are those of the index (docs/contract.md). There are no transactions, and a batch whose answer was
lost is sent again; so every table is a ReplacingMergeTree over what a row is known by, the row with the highest version
stays, and it is read with FINAL. Sums by hour are views over a narrow table of single exchanges that a materialized
view fills, keyed by the exchange: one that is inserted twice is one in every sum.

Servers of today (22 and newer) get moments as DateTime64, dictionaries for names, codecs and skipping indexes, and from
26 on a full-text index; older ones, such as Debian's 18.16, have none of these, and moments are text as in SQLite.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from lunaroute.sinks.tables.columns import TOKEN_COLUMNS, HourRow
from lunaroute.sinks.tables.described import TABLES, Column

SCHEMA_VERSION: Final = 1
OLDEST_MODERN: Final = 22
OLDEST_WITH_TEXT_INDEX: Final = 26

_DICTIONARY: Final = frozenset(
    (
        *("source", "provider", "listener", "dialect", "method", "model_requested", "model_used", "model_name"),
        *("outcome", "finish_reason", "error_type", "client_name", "client_version", "thread_kind", "agent", "project"),
        *("identity_rule", "price_version", "tool_name", "kind", "completion_reason", "session_client_name"),
        *("cache_miss_reason", "cache_miss_block_kind", "success_evidence", "success_confidence"),
    )
)
"""Texts of which there are few."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONG: Final = frozenset(("content", "words", "arguments", "stream_milestones", "first_text", "last_text"))

RETURNED_AT: Final = "assumeNotNull(ifNull(returned_at, called_at))"
"""When a result came, of calls that have one. As it is written here it is in an index: one over `returned_at` itself
would leave out nothing, because every block of calls has some without a result."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that rows are written to."""

    key: tuple[str, ...]
    """What a row is known by, and the order it is kept in."""
    partition: str
    """An expression that is the same for all versions of a row."""
    version: str | None
    """The column by which the newest version is known; None = all are the same."""
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()
    """For servers that have skipping indexes."""
    newest_indexes: tuple[str, ...] = ()
    """Instead, for servers that have full-text indexes."""


def _described(name: str, *more: Column) -> tuple[Column, ...]:
    return TABLES[name] + more


WRITTEN: Final[dict[str, Table]] = {
    "session_stats": Table(
        key=("started_at", "request_id"),
        partition="substring(toString(started_at), 1, 7)",
        version="version",
        columns=_described(
            "session_stats",
            Column("session_client_name", "text", False),
            Column("latency_bucket", "integer", False),
            Column("ttft_bucket", "integer", False),
            Column("version", "flag", True),
        ),
        indexes=(
            "INDEX by_session session_id TYPE bloom_filter(0.001) GRANULARITY 4",
            "INDEX by_request request_id TYPE bloom_filter(0.001) GRANULARITY 4",
            "INDEX by_response response_id TYPE bloom_filter(0.001) GRANULARITY 4",
        ),
    ),
    "tool_call_executions": Table(
        # Of a UUIDv7's time, 16 bits: a part for every seven weeks.
        key=("request_id", "ifNull(tool_call_id, '')"),
        partition="substring(request_id, 1, 4)",
        version="version",
        columns=_described(
            "tool_call_executions", Column("execution_bucket", "integer", False), Column("version", "flag", True)
        ),
        indexes=(
            "INDEX by_session session_id TYPE bloom_filter(0.001) GRANULARITY 4",
            "INDEX by_call called_at TYPE minmax GRANULARITY 1",
            f"INDEX by_result {RETURNED_AT} TYPE minmax GRANULARITY 1",
        ),
    ),
    "session_facets": Table(
        key=("kind", "value", "session_id"), partition="kind", version=None, columns=_described("session_facets")
    ),
    "texts": Table(
        # The newest are asked for; `text_id` begins with the time (`place_of_text`): a part for 30 days.
        key=("text_id", "session_id", "request_id", "seq", "number"),
        partition=f"intDiv(text_id, {30 * 86_400 * 1_000_000 << 10})",
        version=None,
        columns=_described(
            "texts",
            Column("seq", "integer", True),
            Column("number", "integer", True),
            Column("words", "text", True),
        ),
        indexes=("INDEX by_word words TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1",),
        newest_indexes=("INDEX by_word words TYPE text(tokenizer = 'splitByNonAlpha')",),
    ),
    "sessions": Table(
        key=("session_id",),
        partition="substring(session_id, 1, 4)",
        version="last_seq",
        columns=_described("sessions"),
        indexes=("INDEX by_activity last_active_at TYPE minmax GRANULARITY 1",),
    ),
}
"""In the order in which they are written: a session's row, and with it what it has counted, comes last."""

HOUR_KEY: Final = ("hour", "provider", "model_name", "client_name")
SUMS: Final = HourRow.__struct_fields__[4:]
_ONE: Final = {
    "requests": "toInt64(1)",
    "successes": "toInt64(ifNull(success, 0))",
    "failures": "toInt64(NOT ifNull(success, 0))",
    **{name: name for name in TOKEN_COLUMNS},
    "total_cost_usd": "round(total_cost_usd, 10)",
    "unpriced_requests": "toInt64(ifNull(unpriced_requests, 0))",
    "tool_call_count": "toInt64(ifNull(tool_call_count, 0))",
    "provider_latency_ms": "round(ifNull(provider_latency_ms, 0), 6)",
    "proxy_overhead_ms": "round(ifNull(total_proxy_overhead_ms, 0), 6)",
    "total_duration_ms": "round(ifNull(total_duration_ms, 0), 6)",
}
"""What one exchange adds, from the columns of `session_stats`."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A table, in pieces of SQL."""

    name: str
    columns: str
    indexes: str = ""
    """Goes on with the columns."""
    version: str = ""
    """As in `Table`."""
    rest: str
    """What stands after the engine."""


def place_of_text(at: datetime, number: int = 0) -> int:
    """The `text_id` of so manieth text of a moment: the time in 1/1024 of a microsecond."""
    return (at - _EPOCH) // _MICROSECOND << 10 | min(number, 1023)


def ddl(*, is_modern: bool, has_text_index: bool = False) -> list[str]:
    """Everything of an empty store, in order. Each statement may be executed again."""
    statements = ["CREATE TABLE IF NOT EXISTS schema_version (version Int64) ENGINE = TinyLog"]
    statements += [
        f"CREATE TABLE IF NOT EXISTS {one.name} ({one.columns}{one.indexes})"
        f" ENGINE = ReplacingMergeTree({one.version}) {one.rest}"
        for one in definitions(is_modern=is_modern, has_text_index=has_text_index)
    ]
    filled = "CREATE MATERIALIZED VIEW IF NOT EXISTS exchange_sums_of_rows TO exchange_sums"
    statements.append(f"{filled} AS {sums_of_rows('session_stats')}")
    return statements + [f"CREATE VIEW IF NOT EXISTS {name} AS {query}" for name, query in views().items()]


def definitions(*, is_modern: bool, has_text_index: bool = False) -> list[Definition]:
    """The tables that rows are written to, in order, and `exchange_sums`."""
    found = [
        _definition(name, table, is_modern=is_modern, has_text_index=has_text_index) for name, table in WRITTEN.items()
    ]
    return [*found, _SUMS_TABLE]


def _definition(name: str, table: Table, *, is_modern: bool, has_text_index: bool) -> Definition:
    columns = ", ".join(f"{one.name} {_type(one, is_modern=is_modern)}" for one in table.columns)
    kind = table.newest_indexes if has_text_index and table.newest_indexes else table.indexes
    indexes = "".join(f", {one}" for one in kind) if is_modern else ""
    settings = " SETTINGS index_granularity = 1024" if name == "texts" else ""
    rest = f"PARTITION BY {table.partition} ORDER BY ({', '.join(table.key)}){settings}"
    return Definition(name=name, columns=columns, indexes=indexes, version=table.version or "", rest=rest)


def _type(column: Column, *, is_modern: bool) -> str:
    kinds = {"text": "String", "integer": "Int64", "real": "Float64", "blob": "String", "flag": "UInt8"}
    kind = kinds.get(column.kind) or ("DateTime64(6, 'UTC')" if is_modern else "String")
    if not column.is_required:
        kind = f"Nullable({kind})"
    if not is_modern:
        return kind
    if column.name in _DICTIONARY:
        return f"LowCardinality({kind})"
    if column.name in _LONG:
        return f"{kind} CODEC(ZSTD(3))"
    return f"{kind} CODEC(Delta, ZSTD(1))" if column.kind == "moment" else kind


def sums_of_rows(table: str) -> str:
    """The query that makes rows of `exchange_sums` from those of `session_stats`, of this name."""
    return (
        "SELECT concat(substring(toString(started_at), 1, 13), ':00:00') AS hour, ifNull(provider, 'unknown') AS"
        " provider, ifNull(model_name, 'unknown') AS model_name, ifNull(session_client_name, 'unknown') AS client_name,"
        f" request_id, {', '.join(f'{text} AS one_{name}' for name, text in _ONE.items())}, latency_bucket, ttft_bucket"
        f" FROM {table} WHERE outcome IS NOT NULL"
    )


def views(prefix: str = "") -> dict[str, str]:
    """Name → query. `prefix` stands before the tables that they read."""
    sums = ", ".join(f"sum(one_{name}) AS {name}" for name in SUMS)
    return {
        "hourly_stats": f"SELECT {', '.join(HOUR_KEY)}, {sums} FROM {prefix}exchange_sums FINAL"
        f" GROUP BY {', '.join(HOUR_KEY)}",
        "daily_stats": f"SELECT substring(hour, 1, 10) AS day, provider, model_name, {sums}"
        f" FROM {prefix}exchange_sums FINAL GROUP BY day, provider, model_name",
        "tool_calls": "SELECT session_id, request_id, model_name, tool_name,"
        " countIf(called_at IS NOT NULL) AS call_count, sum(execution_time_ms) AS total_execution_time_ms,"
        " avg(execution_time_ms) AS avg_execution_time_ms, countIf(success = 0) AS error_count"
        f" FROM {prefix}tool_call_executions FINAL GROUP BY session_id, request_id, model_name, tool_name",
    }


def _sums_table() -> Definition:
    kinds = {name: "Int64" if _ONE[name].startswith("toInt64") else "Float64" for name in SUMS}
    kinds |= dict.fromkeys(TOKEN_COLUMNS, "Nullable(Int64)") | {"total_cost_usd": "Nullable(Float64)"}
    keys = ", ".join(f"{name} String" for name in (*HOUR_KEY, "request_id"))
    amounts = ", ".join(f"one_{name} {kind}" for name, kind in kinds.items())
    return Definition(
        name="exchange_sums",
        columns=f"{keys}, {amounts}, latency_bucket Nullable(Int64), ttft_bucket Nullable(Int64)",
        rest=f"PARTITION BY substring(hour, 1, 7) ORDER BY ({', '.join(HOUR_KEY)}, request_id)",
    )


_SUMS_TABLE: Final = _sums_table()
