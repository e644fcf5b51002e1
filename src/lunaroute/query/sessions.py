"""Sessions from the index: pages of them, and the one an id begins with.

In: a filter. Out: `SessionSummary` values, newest first or by an amount.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from lunaroute.errors import AmbiguousPrefix, NoSuchSession

from .conditions import compile_filter, overlapping
from .filter import EVERYTHING, Filter
from .fragment import Sql, is_among, limited
from .newest import begun_within, has_words, newest_rows, said_since
from .pages import Page, make_page, read_cursor
from .stores.base import Index
from .stores.opening import dialect_of
from .values import resolve

Order = Literal["newest", "cost", "tokens", "duration", "requests", "errors"]

_PREFIX = re.compile(r"[0-9a-f-]{1,36}")
_CANDIDATES_SHOWN = 5
_READ_TOGETHER = 500


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it; names and meaning are those of the `sessions` table."""

    session_id: str
    source: str
    """`wire`, or `transcript`: imported from what the client wrote down itself."""
    started_at: str
    """`YYYY-MM-DD HH:MM:SS.ffffff`, UTC."""
    last_active_at: str
    completed_at: str | None
    """None = still running."""
    provider: str | None
    client_name: str | None
    client_version: str | None
    model_requested: str | None
    model_used: str | None
    success: bool | None
    error_message: str | None
    finish_reason: str | None
    request_count: int
    error_count: int
    tool_call_count: int
    tool_error_count: int
    total_duration_ms: float | None
    provider_latency_ms: float
    proxy_overhead_ms: float
    max_latency_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    total_tokens: int | None
    total_cost_usd: float | None
    unpriced_requests: int
    first_text: str | None
    last_text: str | None
    conversation_id: str | None
    continues: str | None
    tags: list[str]


_COLUMNS = ", ".join(SessionSummary.__struct_fields__)
_ORDERS: Final[dict[Order, str]] = {
    # Ids are UUIDv7: their order is that of the sessions' beginnings.
    "newest": "0",
    "cost": "coalesce(s.total_cost_usd, -1)",
    "tokens": "coalesce(s.total_tokens, -1)",
    "duration": "coalesce(s.total_duration_ms, -1)",
    "requests": "s.request_count",
    "errors": "s.error_count",
}


def list_sessions(
    connection: Index,
    wanted: Filter = EVERYTHING,
    *,
    limit: int | None = 50,
    order: Order = "newest",
    after: str | None = None,
) -> Page[SessionSummary]:
    """At most `limit` sessions, the newest or the largest first, from where the page ended whose `next` is `after`.
    A session counts when some of it lies in the time asked for. Raises FilterError, sqlite3.Error."""
    wanted = resolve(connection, wanted)
    key = _ORDERS[order]
    dialect = dialect_of(connection)
    place, after_id = overlapping(wanted), None
    if after is not None:
        amount, after_id = read_cursor(after, tuple[float, str])
        place &= _beyond(key, amount, after_id)
    by = "s.session_id DESC" if order == "newest" else f"{key} DESC, s.session_id DESC"

    # Which ones is decided in an index ten times smaller than the table; only their rows are then read.
    def ask(began: datetime | None, before: datetime | None) -> list[Any]:
        condition = compile_filter(wanted, "sessions", dialect, said_since(began)) & place
        condition &= begun_within(began, before, "s.session_id")
        return connection.execute(
            f"SELECT {key}, s.session_id FROM {dialect.sessions} WHERE {condition.text} ORDER BY {by}{limited(limit)}",
            condition.parameters,
        ).fetchall()

    is_by_days = order == "newest" and has_words(wanted)
    keys = newest_rows(connection, wanted, limit, after_id, ask) if is_by_days else ask(None, None)
    return make_page(_read(connection, [session_id for _, session_id in keys]), limit, keys)


def find_session(connection: Index, prefix: str) -> SessionSummary:
    """The one session whose id starts with `prefix`. Raises NoSuchSession, AmbiguousPrefix, sqlite3.Error."""
    text = prefix.strip().lower()
    if not _PREFIX.fullmatch(text):
        raise NoSuchSession(f"{prefix[:60]!r} is no session id")
    rows = connection.execute(
        # "g" follows every character an id can have.
        f"SELECT {_COLUMNS} FROM {dialect_of(connection).session_rows} WHERE session_id >= ? AND session_id < ?"
        f" ORDER BY session_id{limited(_CANDIDATES_SHOWN)}",
        (text, f"{text}g"),
    ).fetchall()
    if not rows:
        raise NoSuchSession(f"no session has an id that starts with {text!r}")
    if len(rows) > 1:
        raise AmbiguousPrefix(f"{text!r} could be {_some([_summary(row).session_id for row in rows])}")
    return _summary(rows[0])


def _beyond(key: str, amount: float, session_id: str) -> Sql:
    if key == "0":
        return Sql("s.session_id < ?", (session_id,))
    return Sql(f"({key}, s.session_id) < (?, ?)", (amount, session_id))


def _read(connection: Index, session_ids: Sequence[str]) -> list[SessionSummary]:
    """In this order. Some at a time: no store takes statements of any length."""
    found: dict[str, SessionSummary] = {}
    for start in range(0, len(session_ids), _READ_TOGETHER):
        wanted = is_among("session_id", session_ids[start : start + _READ_TOGETHER])
        text = f"SELECT {_COLUMNS} FROM {dialect_of(connection).session_rows} WHERE {wanted.text}"
        for row in connection.execute(text, wanted.parameters):
            summary = _summary(row)
            found[summary.session_id] = summary
    return [found[session_id] for session_id in session_ids]


def _some(session_ids: list[str]) -> str:
    shown = ", ".join(session_ids[:_CANDIDATES_SHOWN])
    return f"{shown} or more" if len(session_ids) > _CANDIDATES_SHOWN else shown


def _summary(row: tuple[object, ...]) -> SessionSummary:
    values = dict(zip(SessionSummary.__struct_fields__, row, strict=True))
    values["tags"] = msgspec.json.decode(str(values["tags"]))
    values["success"] = None if values["success"] is None else bool(values["success"])
    return SessionSummary(**values)  # type: ignore[arg-type]
