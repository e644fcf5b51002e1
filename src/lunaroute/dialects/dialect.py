"""What every dialect package offers: readers from bytes to the neutral facts of `facts`.

Invariant: no method raises, whatever the bytes; what cannot be understood is left out, counted or marked invalid.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.so_far import SoFar


class StreamReader(Protocol):
    """feed(event)* → finish(), once. Folds a stream into the message it amounts to; `so_far()` at any time before."""

    @property
    def deltas(self) -> DeltaShape | None:
        """May take events instead of `feed`; None where those of this dialect are all read in full."""

    def feed(self, event: ServerSentEvent) -> None:
        """Take the next event."""

    def so_far(self) -> SoFar:
        """What there is of it until now."""

    def finish(self) -> ResponseFacts:
        """What the stream amounted to, complete or cut."""


class DialectReader(Protocol):
    """Reads one wire format. Bodies are decoded (no content coding) and may be cut."""

    def read_request(self, body: bytes) -> RequestFacts:
        """What the request asks for; `is_valid` is False where it is not a request of this dialect."""

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        """What a response amounts to that is not a stream."""

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        """A response (`ResponseFacts.message`) as the messages that a later request will repeat it by."""

    def open_stream(self) -> StreamReader:
        """A reader for one streamed response."""
