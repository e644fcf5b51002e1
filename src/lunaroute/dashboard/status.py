"""[pure] What a session is doing, as lists show it with a dot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from lunaroute.query.sessions import SessionSummary

from .numbers import moment

State = Literal["working", "waiting", "idle", "failed", "done"]

MEANINGS: dict[State, str] = {
    "working": "The provider is answering",
    "waiting": "Waiting for the client",
    "idle": "Silent for a while",
    "failed": "Ended with a failure",
    "done": "Ended",
}
_IDLE_AFTER = timedelta(minutes=5)


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a list."""

    summary: SessionSummary
    state: State
    title: str
    is_starred: bool
    tags: list[str]

    @property
    def meaning(self) -> str:
        return MEANINGS[self.state]


def state_of(session: SessionSummary, now: datetime, *, is_working: bool) -> State:
    if session.completed_at is not None:
        return "failed" if session.success is False else "done"
    if is_working:
        return "working"
    last = moment(session.last_active_at)
    return "idle" if last is not None and now - last > _IDLE_AFTER else "waiting"


def title_of(session: SessionSummary, most_chars: int = 140) -> str:
    """The first words of the person, on one line; what clients put around them is left out."""
    text = " ".join((session.first_text or "").split())
    return text[:most_chars] + ("…" if len(text) > most_chars else "")
