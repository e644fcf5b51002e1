"""[pure] Parts of a batch of rows."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .columns import SessionRow


class Begun(msgspec.Struct, frozen=True):
    """What a response must know of its request."""

    started_at: str
    provider: str | None
    model_requested: str | None


class Text(msgspec.Struct, frozen=True):
    """A row of `texts`."""

    session_id: str
    request_id: str
    kind: str
    content: str
    seq: int
    """Of its event, which may have several."""
    at: str
    """The event's time, as `sql_time` gives it."""


class Known(Protocol):
    """What a store already has."""

    def session(self, session_id: str) -> SessionRow | None:
        """A row of its own for each call: it is changed."""

    def request(self, request_id: str) -> Begun | None:
        """Of a request that is stored."""
