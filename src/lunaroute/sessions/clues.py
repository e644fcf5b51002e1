"""What a request tells of where it belongs, and where that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from lunaroute.dialects.facts import IdentityHints, MessageFacts

from .headers import HeaderTexts

ThreadKind = Literal["main", "subagent", "side"]
"""`side`: what a client asks on the side, a title for instance; it is never part of the history."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    conversation_id: str | None
    """None = a conversation of its own, named by its first session."""
    rule: str
    """`session_tag`, `client_header`, `body_field`, `response_id`, `tool_call_id`, `prefix`, `repetition`,
    `tool_argument` or `new`."""
    evidence: str | None
    """What decided, as `name=value`; None for `new`."""
    thread_id: str | None = None
    """One linear history inside the conversation; None = the main one, named by the conversation."""
    parent_thread_id: str | None = None
    thread_kind: ThreadKind = "main"
    is_named: bool = False
    """The client names the thread."""
    is_declared: bool = False
    """The request says itself which conversation it is of."""
    retry_of: str | None = None
    """The `request_id` of the exchange that this one repeats, or resumes after a cut."""
    forked_from: str | None = None
    """The conversation whose history this new one goes on with."""


UNKNOWN = Identity(conversation_id=None, rule="new", evidence=None)
"""Nothing tells, or nothing was asked yet."""


class Clues(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that a request offers to tell whose it is."""

    request_id: str
    wall_ns: int
    """When its head arrived."""
    session_tags: list[str]
    headers: HeaderTexts
    hints: IdentityHints
    messages: Sequence[MessageFacts]
    chain: list[bytes]
    """Of the messages (`dialects.marks`)."""
    has_tools: bool = False
    has_output_schema: bool = False


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says of itself."""

    conversation_id: str
    rule: str
    evidence: str
    thread_id: str | None = None
    parent_thread_id: str | None = None
    thread_kind: ThreadKind = "main"
    """Of `thread_id`."""
    is_shared: bool = False
    """Several runs may say the same: what is no continuation is then another thread, not the same one again."""
