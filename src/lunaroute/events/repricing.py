"""A recorded session's costs, computed again: its events in, in order; the cost each would have got out.

What a cost depends on stands in the events: provider and model, tokens, what the provider said about billing, and the
time. So the same prices give the same costs again, to the last digit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from lunaroute.pricing import CostSums, Pricer, PriceRequest
from lunaroute.stats.tokens import COUNTED, TokenCounts

from .figures import (
    Cost,
    Tokens,
)
from .numbers import exchange_cost, session_cost, unpriced_cost
from .types import (
    Completed,
    Event,
    RequestRecorded,
    ResponseRecorded,
    Started,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Recost(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says about cost, and what it is to say."""

    event: ResponseRecorded | Completed
    provider: str
    model: str | None
    old: Cost
    new: Cost


class SessionRepricer:
    """add(event)*, from the first event of one session to its last."""

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._sums = CostSums()
        self._provider = ""
        self._asked: dict[str, tuple[str, str | None]] = {}
        """request_id → provider and model of the request."""

    def add(self, event: Event) -> Recost | None:
        """Take the next event; None where it has no cost."""
        match event:
            case Started():
                self._provider = event.provider
            case RequestRecorded():
                self._asked[event.request_id] = (event.provider, event.model_requested)
            case ResponseRecorded():
                return self._exchange(event)
            case Completed():
                old, new = event.final_stats.estimated_cost, session_cost(self._sums)
                return Recost(event=event, provider=self._provider, model=None, old=old, new=new)
        return None

    def _exchange(self, event: ResponseRecorded) -> Recost | None:
        old = event.stats.estimated_cost
        if old is None:  # nothing was to be paid
            return None
        provider, model_requested = self._asked.pop(event.request_id, (self._provider, None))
        tokens = _counts(event.stats.tokens)
        request = PriceRequest(
            provider=provider,
            model_used=event.model_used,
            model_requested=model_requested,
            tokens=tokens,
            billing=event.stats.billing,
            wall_ns=_opened_wall_ns(event),
        )
        parts = self._pricer.price(request)
        if parts is None:
            self._sums.unpriced_requests += 1
            new = unpriced_cost()
        else:
            self._sums.add(parts, tokens.total_tokens or 0, self._pricer.version)
            new = exchange_cost(parts, tokens.total_tokens or 0, self._pricer.version)
        return Recost(event=event, provider=provider, model=event.model_used or model_requested, old=old, new=new)


def _counts(tokens: Tokens) -> TokenCounts:
    return TokenCounts(**{name: getattr(tokens, name) for name in COUNTED})


def _opened_wall_ns(event: ResponseRecorded) -> int:
    """When the request arrived: that long before the response's end."""
    ended = datetime.fromisoformat(event.timestamp) - _EPOCH
    return ended // timedelta(microseconds=1) * 1000 - round(event.stats.total_duration_ms * 1e6)
