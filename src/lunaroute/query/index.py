"""Reading `sessions.db`: connections that cannot write, lists of sessions, ids from prefixes.

In: the database's path, a filter. Out: `SessionSummary` values, newest first.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import msgspec

from lunaroute.errors import AmbiguousPrefix, LunarouteError, NoSuchSession
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.sqlite.migrations import check_version

from .filters import SessionFilter, where

_PREFIX = re.compile(r"[0-9a-f-]{1,36}")
_CANDIDATES_SHOWN = 5


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it; names and meaning are those of the `sessions` table."""

    session_id: str
    started_at: str
    """`YYYY-MM-DD HH:MM:SS.ffffff`, UTC."""
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
    total_duration_ms: float | None
    provider_latency_ms: float
    proxy_overhead_ms: float
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    total_tokens: int | None
    total_cost_usd: float | None
    unpriced_requests: int
    first_text: str | None
    last_text: str | None
    conversation_id: str | None
    continues: str | None
    tags: list[str]


_COLUMNS = ", ".join(SessionSummary.__struct_fields__)


def open_index(database: Path) -> sqlite3.Connection | None:
    """A connection that cannot write; None = nothing was recorded yet. Raises LunarouteError when the index is
    missing, too new or damaged, and says what to do."""
    if not database.exists():
        if any(session_files(database.parent)):
            raise LunarouteError(f"{database} is missing: run `lunaroute reindex`")
        return None
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
    except sqlite3.Error as error:
        raise LunarouteError(f"cannot read {database}: {error}") from error
    try:
        check_version(connection)
    except sqlite3.Error as error:
        connection.close()
        raise LunarouteError(f"cannot read {database}: {error}; `lunaroute reindex` makes it anew") from error
    except BaseException:
        connection.close()
        raise
    return connection


def list_sessions(
    connection: sqlite3.Connection, wanted: SessionFilter | None = None, limit: int | None = None
) -> list[SessionSummary]:
    """The newest sessions first, at most `limit` of them. Raises sqlite3.Error."""
    condition, parameters = where(wanted or SessionFilter())
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {condition} ORDER BY started_at DESC, session_id DESC LIMIT ?",
        [*parameters, -1 if limit is None else limit],
    )
    return [_summary(row) for row in rows]


def find_session(connection: sqlite3.Connection, prefix: str) -> SessionSummary:
    """The one session whose id starts with `prefix`. Raises NoSuchSession, AmbiguousPrefix, sqlite3.Error."""
    text = prefix.strip().lower()
    if not _PREFIX.fullmatch(text):
        raise NoSuchSession(f"{prefix[:60]!r} is no session id")
    rows = connection.execute(
        # "g" follows every character an id can have.
        f"SELECT {_COLUMNS} FROM sessions WHERE session_id >= ? AND session_id < ? ORDER BY session_id LIMIT ?",
        (text, f"{text}g", _CANDIDATES_SHOWN + 1),
    ).fetchall()
    if not rows:
        raise NoSuchSession(f"no session has an id that starts with {text!r}")
    if len(rows) > 1:
        raise AmbiguousPrefix(f"{text!r} could be {_some([_summary(row).session_id for row in rows])}")
    return _summary(rows[0])


def _some(session_ids: list[str]) -> str:
    shown = ", ".join(session_ids[:_CANDIDATES_SHOWN])
    return f"{shown} or more" if len(session_ids) > _CANDIDATES_SHOWN else shown


def _summary(row: tuple[object, ...]) -> SessionSummary:
    values = dict(zip(SessionSummary.__struct_fields__, row, strict=True))
    values["tags"] = msgspec.json.decode(str(values["tags"]))
    values["success"] = None if values["success"] is None else bool(values["success"])
    return SessionSummary(**values)  # type: ignore[arg-type]
