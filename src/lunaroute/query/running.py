"""Tools that clients run right now, as far as anybody can tell from outside.

In: the index and sessions. Out: the calls without a result whose thread has asked nothing since: a client that goes on
without sending the result has given the call up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec


class RunningTool(msgspec.Struct, frozen=True):
    session_id: str
    tool_name: str
    called_at: str
    """In the index's form, UTC."""


def running_tools(index: sqlite3.Connection, session_ids: Sequence[str]) -> list[RunningTool]:
    """In the order in which they began. Raises sqlite3.Error."""
    marks = ", ".join("?" * len(session_ids))
    rows = index.execute(
        "SELECT c.session_id, c.tool_name, c.called_at FROM tool_call_executions c"
        " JOIN session_stats s ON s.request_id = c.request_id"
        f" WHERE c.session_id IN ({marks}) AND c.returned_at IS NULL AND c.called_at IS NOT NULL AND NOT EXISTS ("
        " SELECT 1 FROM session_stats later WHERE later.session_id = c.session_id"
        " AND later.thread_id IS s.thread_id AND later.started_at > s.started_at)"
        " ORDER BY c.called_at",
        tuple(session_ids),
    )
    return [RunningTool(*row) for row in rows]
