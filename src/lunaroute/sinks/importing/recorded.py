"""Which turns of a transcript are recorded already, on the wire or by an import before.

In: the index, one conversation. Out: yes or no for each turn. The provider's id of the answer tells, in whatever
session it was recorded. Older versions of Codex keep none: there the ids of tool calls tell, and where a turn has no
call, that the wire has an exchange of this very conversation whose time it falls into.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from lunaroute.transcripts.turn import Conversation, Turn

_SLACK_NS = 86_400_000_000_000
"""How far the clocks of a transcript and of a recording may be apart."""
_LATE = timedelta(seconds=2)
"""An item is written down while its answer arrives, or just after."""


def moment(wall_ns: int) -> str:
    """A time as the index writes it."""
    return f"{datetime.fromtimestamp(wall_ns // 1000 / 1e6, UTC):%Y-%m-%d %H:%M:%S.%f}"


class Recorded:
    """has(turn)*: reads the index once, around the conversation's time."""

    def __init__(self, index: sqlite3.Connection, conversation: Conversation) -> None:
        """Raises sqlite3.Error."""
        turns = conversation.turns
        self._index = index
        begin = moment(max(0, min(turn.began_ns for turn in turns) - _SLACK_NS))
        end = moment(max(turn.ended_ns for turn in turns) + _SLACK_NS)
        self._response_ids = _column(index, "session_stats", "response_id", "started_at", begin, end)
        self._call_ids = _column(index, "tool_call_executions", "tool_call_id", "called_at", begin, end)
        self._spans: list[tuple[str, str]] = [
            (began, ended)
            for began, ended in index.execute(
                "SELECT e.started_at, e.completed_at FROM sessions s JOIN session_stats e USING (session_id)"
                " WHERE s.conversation_id = ? AND s.source = 'wire' AND e.completed_at IS NOT NULL",
                (conversation.conversation_id,),
            )
        ]

    def has(self, turn: Turn, request_id: str) -> bool:
        """Raises sqlite3.Error."""
        if turn.response_id in self._response_ids:
            return True
        if turn.response_id is None and not self._call_ids.isdisjoint(turn.call_ids):
            return True
        if turn.response_id is None and not turn.call_ids and self._is_within_an_exchange(turn):
            return True
        found = self._index.execute("SELECT 1 FROM session_stats WHERE request_id = ?", (request_id,)).fetchone()
        return found is not None

    def _is_within_an_exchange(self, turn: Turn) -> bool:
        ended = moment(turn.ended_ns)
        return any(began <= ended <= _later(last) for began, last in self._spans)


def _column(index: sqlite3.Connection, table: str, name: str, at: str, begin: str, end: str) -> set[str]:
    rows = index.execute(
        f"SELECT {name} FROM {table} WHERE {at} >= ? AND {at} < ? AND {name} IS NOT NULL", (begin, end)
    )
    return {row[0] for row in rows}


def _later(text: str) -> str:
    return f"{datetime.fromisoformat(text) + _LATE:%Y-%m-%d %H:%M:%S.%f}"
