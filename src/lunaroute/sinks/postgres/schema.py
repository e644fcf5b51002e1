"""[pure] The tables in PostgreSQL, and their monthly parts.

Names and meaning are those of the index (docs/contract.md); moments are `timestamptz`, truth values `boolean`. Text has
the collation "C": it is ordered and compared by its bytes, as in SQLite, whatever the database's own collation is.

What grows with every exchange is partitioned by the month of its request id. Ids are UUIDv7 and begin with their time,
so the id alone says which part a row is in, and keys hold it without a further column.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from lunaroute.capture.ids import uuid7
from lunaroute.sinks.tables.described import TABLES, Column, Kind

SCHEMA_VERSION: Final = 1

_TYPES: Final[dict[Kind, str]] = {
    "text": 'text COLLATE "C"',
    "integer": "bigint",
    "real": "double precision",
    "blob": "bytea",
    "moment": "timestamptz",
    "flag": "boolean",
}
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "sessions": ("session_id",),
    "session_stats": ("request_id",),
    "tool_calls": ("request_id", "tool_name"),
    "tool_call_executions": ("request_id", "tool_call_id"),
    "texts": ("request_id", "seq", "number"),
    "session_facets": ("kind", "value", "session_id"),
    "daily_stats": ("day", "provider", "model_name"),
    "hourly_stats": ("hour", "provider", "model_name", "client_name"),
    "hourly_latencies": ("hour", "provider", "model_name", "client_name"),
    "daily_latencies": ("day", "provider", "model_name", "client_name"),
    "daily_tool_stats": ("day", "model_name", "client_name", "tool_name"),
}
"""What a row is known by; writing it again changes nothing."""

PARTITIONED: Final = ("session_stats", "tool_calls", "tool_call_executions", "texts")
_FIRST_YEAR: Final = 2020
_LAST_YEAR: Final = 2199
"""Ids of other years are not times; their rows go into the default part."""

_OWN_COLUMNS: Final = {
    "texts": (Column("seq", "integer", True), Column("number", "integer", True), Column("words", "text", True)),
}
"""`seq` of the event and which of its texts it is; the text as `normal_text` writes it, which is what is searched."""

_STREAM_EVENTS: Final = """
CREATE VIEW stream_events AS SELECT
  s.session_id,
  s.request_id,
  s.model_name,
  m.value ->> 0 AS event_type,
  (m.value ->> 1)::bigint AS event_index,
  (m.value ->> 2)::double precision AS offset_ms,
  m.value ->> 3 AS content
FROM session_stats s, json_array_elements(s.stream_milestones::json) AS m (value)"""

_INDEXES: Final = (
    "CREATE INDEX sessions_by_start ON sessions (started_at, session_id)",
    "CREATE INDEX sessions_by_activity ON sessions (last_active_at)",
    "CREATE INDEX sessions_by_conversation ON sessions (conversation_id)",
    "CREATE INDEX session_stats_by_session ON session_stats (session_id)",
    "CREATE INDEX session_stats_by_time ON session_stats (started_at, request_id)",
    "CREATE INDEX session_stats_by_response ON session_stats (response_id) WHERE response_id IS NOT NULL",
    "CREATE INDEX tool_calls_by_tool ON tool_calls (tool_name)",
    "CREATE INDEX tool_call_executions_by_session ON tool_call_executions (session_id)",
    "CREATE INDEX tool_call_executions_by_call ON tool_call_executions (called_at)",
    "CREATE INDEX tool_call_executions_by_result ON tool_call_executions (returned_at)",
    "CREATE INDEX texts_by_number ON texts (text_id)",
)
SEARCH_DDL: Final = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX texts_by_words ON texts USING gin (words gin_trgm_ops)",
)
"""What search is quick by; without the right to have it, search goes through all texts."""


def columns_of(table: str) -> tuple[Column, ...]:
    """The table's columns, in order."""
    return TABLES[table] + _OWN_COLUMNS.get(table, ())


def ddl() -> list[str]:
    """Everything of an empty store, in order."""
    statements = ["CREATE TABLE schema_version (version bigint NOT NULL)"]
    statements += ["CREATE SEQUENCE text_ids"]
    for table in KEYS:
        statements += _table_ddl(table)
    return [*statements, _STREAM_EVENTS, *_INDEXES, f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})"]


def partition_ddl(month: str) -> list[str]:
    """The parts for a month, `YYYY-MM`."""
    first, after = _first_id(month), _first_id(next_month(month))
    return [
        f"CREATE TABLE IF NOT EXISTS {table}_{month.replace('-', '_')} PARTITION OF {table}"
        f" FOR VALUES FROM ('{first}') TO ('{after}')"
        for table in PARTITIONED
    ]


def month_of(request_id: str) -> str | None:
    """The month that an id begins with, `YYYY-MM`; None where it is no time that a part could be made for."""
    digits = f"{request_id[:8]}{request_id[9:13]}"
    try:
        moment = datetime.fromtimestamp(int(digits, 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    is_plain = len(request_id) == 36 and request_id == request_id.lower()
    return f"{moment:%Y-%m}" if is_plain and _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def next_month(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def _first_id(month: str) -> str:
    """No id of the month is smaller, and every one of the months before is."""
    moment = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    return uuid7(int(moment.timestamp() * 1000), bytes(10))[:14]


def _table_ddl(table: str) -> list[str]:
    columns = ", ".join(
        f"{one.name} {_TYPES[one.kind]}{' NOT NULL' if one.is_required else ''}" for one in columns_of(table)
    )
    # A call's id may be missing, and what is missing equals nothing: no primary key there.
    kind = "UNIQUE" if table == "tool_call_executions" else "PRIMARY KEY"
    text = f"CREATE TABLE {table} ({columns}, {kind} ({', '.join(KEYS[table])}))"
    if table not in PARTITIONED:
        return [text]
    return [
        f"{text} PARTITION BY RANGE (request_id)",
        f"CREATE TABLE {table}_others PARTITION OF {table} DEFAULT",
    ]
