"""Places in conversations, and what leads to them."""

from __future__ import annotations

from typing import Literal

import msgspec

from .clues import ThreadKind

LinkKind = Literal["response", "tool", "thread"]
"""What an id names: a response or message, a tool call in one, a thread below its conversation."""


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A thread of a conversation."""

    conversation_id: str
    thread_id: str
    kind: ThreadKind = "main"
    parent_thread_id: str | None = None
    chain: bytes = b""
    """For a response: the history up to and including it."""


class SentRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request with a certain history, its thread's newest with it."""

    place: Place
    request_id: str
    is_repeatable: bool
    """It failed, and nothing says that its client gave up."""
    ended_wall_ns: int
    retry_count: int = 0


class Found(msgspec.Struct, frozen=True):
    """Where recorded traffic says that a request belongs."""

    place: Place
    rule: str
    evidence: str
