"""A request and its response as they were understood: what events are made of."""

from __future__ import annotations

import msgspec

from lunaroute.assemble.exchange import Exchange
from lunaroute.dialects import dialect_of
from lunaroute.dialects.facts import Billing, Dialect, MessageFacts, RequestFacts, ResponseFacts, WireFormat
from lunaroute.pricing.cost import CostParts
from lunaroute.redact.report import Redaction
from lunaroute.sessions import HeaderTexts
from lunaroute.sessions.clues import Identity as SessionIdentity
from lunaroute.stats import Timing, TokenCounts

from .figures import (
    Context,
    Cost,
)


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as it was understood."""

    exchange: Exchange
    headers: HeaderTexts
    wire_format: WireFormat
    facts: RequestFacts
    body: bytes
    """As sent, the content coding still on it."""
    content_encoding: str | None
    decoded: bytes | None
    """Without the content coding; None where there is none, or it could not be undone."""
    identity: SessionIdentity
    chain: bytes = b""
    """Its history, see `sessions.history`."""
    redaction: Redaction | None = None

    @property
    def plain(self) -> bytes:
        """The body without its content coding, where that could be undone."""
        return self.body if self.decoded is None else self.decoded

    @property
    def dialect(self) -> Dialect:
        """The label of the wire format."""
        return dialect_of(self.wire_format)


class ReadResponse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A response as it was understood."""

    exchange: Exchange
    """Ended."""
    headers: HeaderTexts
    facts: ResponseFacts
    is_streaming: bool
    body: bytes
    content_encoding: str | None
    decoded: bytes | None
    """Without the content coding; None where there is none, or it could not be undone."""
    timing: Timing
    tokens: TokenCounts = msgspec.field(default_factory=TokenCounts)
    billing: Billing = Billing()
    cost_parts: dict[str, CostParts] = {}
    """By model; empty where nothing was to be paid, or nobody knows how much."""
    cost: Cost | None = None
    answer: list[MessageFacts] = []
    """The answer as a later request will repeat it."""
    context: Context | None = None
    miss_picodollars: int | None = None
    """What a missed cache hit cost; None = none was missed, or no price is known."""
    redaction: Redaction | None = None
