"""One session in full, from the index: what lists leave out, and each of its exchanges and tool calls as numbers.

In: a session id. Out: `SessionDetail`, `SessionExchange` and `SessionCall` values. Texts are not here: they are in the
session's file (`query.turns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from lunaroute.errors import NoSuchSession

from .fragment import is_among
from .stores.base import Index
from .stores.opening import dialect_of


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of `sessions` that lists do without; names and meaning are the table's."""

    completion_reason: str | None
    dialect: str | None
    listener: str | None
    user_agent: str | None
    client_ip: str | None
    api_version: str | None
    credential: str | None
    identity_rule: str | None
    identity_evidence: str | None
    forked_from: str | None
    thread_count: int
    agent: str | None
    project: str | None
    new_bytes: int
    resent_bytes: int
    cache_miss_count: int
    cache_missed_tokens: int
    cache_miss_cost_usd: float | None
    price_version: str | None
    input_cost_usd: float | None
    output_cost_usd: float | None
    thinking_cost_usd: float | None
    cache_read_cost_usd: float | None
    cache_creation_cost_usd: float | None


class SessionExchange(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange of a session as its charts need it; names and meaning are those of `session_stats`."""

    request_id: str
    started_at: str
    completed_at: str | None
    model_name: str | None
    thread_id: str | None
    parent_thread_id: str | None
    thread_kind: str | None
    agent: str | None
    retry_of: str | None
    outcome: str | None
    """None = still open."""
    success: bool | None
    status_code: int | None
    finish_reason: str | None
    error_message: str | None
    is_prewarm: bool | None
    provider_latency_ms: float | None
    time_to_first_token_ms: float | None
    chunk_gap_p50_ms: float | None
    chunk_gap_p95_ms: float | None
    chunk_gap_max_ms: float | None
    total_duration_ms: float | None
    total_proxy_overhead_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    new_input_tokens: int | None
    resent_input_tokens: int | None
    tokens_per_second: float | None
    tool_call_count: int | None
    message_count: int | None
    total_cost_usd: float | None
    price_version: str | None
    cache_missed_tokens: int | None
    cache_miss_reason: str | None
    cache_miss_excerpt: str | None
    cache_miss_idle_s: float | None
    cache_miss_cost_usd: float | None


class SessionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of a session; names and meaning are those of `tool_call_executions`."""

    request_id: str
    result_request_id: str | None
    tool_name: str
    tool_call_id: str | None
    called_at: str | None
    returned_at: str | None
    execution_time_ms: float | None
    is_shared_bound: bool | None
    input_size_bytes: int
    output_size_bytes: int | None
    success: bool | None


_Row = TypeVar("_Row", bound=msgspec.Struct)


def read_detail(connection: Index, session_id: str) -> SessionDetail:
    """Raises NoSuchSession, sqlite3.Error."""
    found = _select(connection, SessionDetail, dialect_of(connection).session_rows, "session_id = ?", (session_id,))
    if not found:
        raise NoSuchSession(f"there is no session {session_id}")
    return found[0]


def session_exchanges(connection: Index, session_id: str) -> list[SessionExchange]:
    """All of a session, in the order in which they began. Raises sqlite3.Error."""
    condition = "e.session_id = ? ORDER BY e.started_at, e.request_id"
    return _select(connection, SessionExchange, dialect_of(connection).exchanges, condition, (session_id,))


def session_calls(connection: Index, session_id: str) -> list[SessionCall]:
    """All of a session, in the order in which the model asked for them. Raises sqlite3.Error."""
    condition = "c.session_id = ? ORDER BY c.called_at, c.request_id, c.call_number"
    return _select(connection, SessionCall, dialect_of(connection).calls, condition, (session_id,))


def working_sessions(connection: Index, session_ids: Sequence[str]) -> set[str]:
    """Those of them in which a request waits for its answer. Raises sqlite3.Error."""
    found = is_among("e.session_id", session_ids)
    rows = connection.execute(
        f"SELECT DISTINCT e.session_id FROM {dialect_of(connection).exchanges} WHERE {found.text}"
        " AND e.outcome IS NULL",
        found.parameters,
    )
    return {row[0] for row in rows}


def neighbours(connection: Index, session_id: str) -> tuple[str | None, str | None]:
    """The session that began before this one, and the one after it. Raises sqlite3.Error."""
    before = connection.execute("SELECT max(session_id) FROM sessions WHERE session_id < ?", (session_id,)).fetchone()
    after = connection.execute("SELECT min(session_id) FROM sessions WHERE session_id > ?", (session_id,)).fetchone()
    return before[0] or None, after[0] or None


def _select(
    connection: Index, kind: type[_Row], table: str, condition: str, parameters: tuple[object, ...]
) -> list[_Row]:
    names = kind.__struct_fields__
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {condition}", parameters)
    # SQLite has no truth values: 0 and 1 become what the struct says.
    return [msgspec.convert(dict(zip(names, row, strict=True)), kind, strict=False) for row in rows]
