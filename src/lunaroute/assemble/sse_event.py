"""One server-sent event."""

from __future__ import annotations

import msgspec


class ServerSentEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    event: str
    """The `event:` field; empty when there is none (a browser would say "message")."""
    data: bytes
    """The `data:` lines joined by LF."""
    t_ns: int
    """Monotonic arrival of the read that completed the event."""
    is_cut: bool = False
    """The stream ended without the event's blank line; its last line may be incomplete."""
