"""What is remembered of sessions and of exchanges that are still open. Small, mutable, and storable as MessagePack.

Numbers are kept elsewhere (`stats`, `pricing`); here is only what grouping and pairing need.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lunaroute.dialects.facts import ToolResult, WireFormat

from .clues import ThreadKind
from .prompts import Answered, Change, Prompt

EndReason = Literal["idle", "ended", "shutdown", "recovered"]


class Instant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A moment with the clock it was read from: monotonic times of different relay starts do not compare."""

    lane: str
    start_wall_ns: int
    t_ns: int
    wall_ns: int


class PendingCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tool call whose result has not come yet."""

    tool_name: str
    arguments: str
    input_size_bytes: int
    call_request_id: str
    model_name: str | None
    ended: Instant
    """End of the call's block, or the response's last byte: from here on the client can have run it."""
    parallel_count: int
    """Calls in the same response."""
    thread_id: str = ""
    has_id: bool = True
    """The provider gave it one."""


class Session(msgspec.Struct, array_like=True):
    """One contiguous run of activity of one conversation."""

    session_id: str
    scope: str
    """Provider + credential; identities hold within it."""
    conversation_id: str
    rule: str
    evidence: str | None
    continues: str | None
    started: Instant
    last_activity_wall_ns: int
    latest_request_id: str
    open_exchanges: int = 0
    seq: int = 0
    """Of the next event."""
    ending: EndReason | None = None
    """Why it is to complete as soon as nothing is open."""
    is_linked: bool = False
    """An id of one of its responses is indexed, so a later request may find the way back."""
    pending_calls: dict[str, PendingCall] = {}
    answered_calls: dict[str, None] = {}
    success: bool = True
    error: str | None = None
    finish_reason: str | None = None
    """These three: of the exchange that ended last."""
    waited_ns: dict[str, int] = {}
    """Exchange whose response asked for calls → the longest time that one of them took."""
    forked_from: str | None = None
    """The session whose history the conversation began with."""


class OpenExchange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the request told, for the time when its response comes."""

    session_id: str
    wire_format: WireFormat
    model_requested: str | None
    thread_id: str = ""
    thread_kind: ThreadKind = "main"
    parent_thread_id: str | None = None
    chain: bytes = b""
    """The request's history (`history`)."""
    has_history: bool = False
    """It has messages, so its thread goes on with it."""
    user_agent: str = ""
    is_named: bool = False
    """Its client names the thread, so that a repetition finds it by that."""
    prompt: Prompt | None = None
    change: Change | None = None
    """Against the newest prompt that the provider answered in its thread."""
    answered: Answered | None = None
    """What the provider said of that one."""
    is_first: bool = False
    """Nothing was asked in its thread before."""
    is_prewarm: bool = False
    is_declared: bool = False
    """It said itself which conversation it is of."""
    retry_count: int = 0
    """How many times the client says that it sent it before."""


class Ending(msgspec.Struct, frozen=True):
    """A session is over; `wall_ns` is the moment it counts as over."""

    session: Session
    reason: EndReason
    wall_ns: int


class BookState(msgspec.Struct, array_like=True):
    run_id: str | None = None


class PairedCall(msgspec.Struct, frozen=True):
    """A tool call and the result it got."""

    tool_call_id: str
    call: PendingCall
    result: ToolResult
    execution_ns: int
    """End of the call's block → arrival of the request with the result: an upper bound of the tool's own time."""
