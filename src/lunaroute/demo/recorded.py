"""What the recorder says about the demo's sessions, read from `sessions.db` without writing to it.

In: the database, the moment the demo began. Out: one `RecordedSession` per session; whether all that the
agents sent is there yet; where the recording and the SDKs disagree.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lunaroute.demo.run import AgentSummary
from lunaroute.errors import LunarouteError

_POLL_S = 0.1

_QUERY = """
SELECT s.session_id, s.tags, s.client_name, s.client_version, s.model_used, s.model_requested, s.request_count,
       s.error_count, s.input_tokens, s.output_tokens, s.cache_read_tokens, s.thinking_tokens, s.tool_call_count,
       s.total_cost_usd,
       (SELECT avg(x.provider_latency_ms) FROM session_stats x WHERE x.session_id = s.session_id) AS latency_ms,
       (SELECT count(*) FROM session_stats x WHERE x.session_id = s.session_id AND x.outcome IS NOT NULL) AS answered
FROM sessions s WHERE s.started_at >= ? ORDER BY s.started_at
"""


class NotRecordedError(LunarouteError):
    """The recorder did not catch up in time."""


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sessions`, and two numbers from `session_stats`."""

    session_id: str
    tags: list[str]
    client_name: str | None
    client_version: str | None
    model_used: str | None
    model_requested: str | None
    request_count: int
    error_count: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    thinking_tokens: int | None
    tool_call_count: int
    total_cost_usd: float | None
    latency_ms: float | None
    """Mean time the provider took per request."""
    answered: int
    """Requests whose response has been recorded too."""


def read_sessions(database: Path, since: str) -> list[RecordedSession]:
    """Sessions started at or after `since` (`YYYY-MM-DD HH:MM:SS.ffffff`, UTC), oldest first; none without a file."""
    if not database.exists():
        return []
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(_QUERY, (since,))]
    except sqlite3.OperationalError:
        return []  # the recorder is still creating its tables
    finally:
        connection.close()
    return [RecordedSession(**{**row, "tags": msgspec.json.decode(row["tags"])}) for row in rows]


def wait_until_recorded(
    database: Path, since: str, agents: Sequence[AgentSummary], timeout_s: float = 30.0
) -> list[RecordedSession]:
    """The recorded sessions as soon as every request of every agent is among them. Raises NotRecordedError."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        sessions = read_sessions(database, since)
        missing = [line for agent in agents if (line := _missing(agent, sessions))]
        if not missing:
            return sessions
        if time.monotonic() > deadline_s:
            raise NotRecordedError(f"the recorder has not caught up after {timeout_s:.0f} s: {'; '.join(missing)}")
        time.sleep(_POLL_S)


def disagreements(agents: Sequence[AgentSummary], sessions: Sequence[RecordedSession]) -> list[str]:
    """Every number in which the recording differs from what an agent's SDK saw, one line each."""
    found = []
    for agent in agents:
        own = [session for session in sessions if agent.name in session.tags]
        for name in ("request_count", "error_count", "input_tokens", "output_tokens", "cache_read_tokens"):
            seen, recorded = getattr(agent, name), sum(getattr(session, name) or 0 for session in own)
            if seen != recorded:
                found.append(f"{agent.name}: {name} is {recorded} in the recording, {seen} in the SDK")
    return found


def _missing(agent: AgentSummary, sessions: Sequence[RecordedSession]) -> str | None:
    own = [session for session in sessions if agent.name in session.tags]
    answered = sum(session.answered for session in own)
    return None if answered >= agent.request_count else f"{agent.name} {answered} of {agent.request_count} requests"
