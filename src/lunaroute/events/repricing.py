"""A recorded session's costs, computed again: its events in, in order; the cost each would have got out.

What a cost depends on stands in the events: provider and model, tokens, what the provider said about billing, and the
time. So the same prices give the same costs again, to the last digit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from lunaroute.pricing import CostSums, Pricer, PriceRequest, add_priced, miss_picodollars
from lunaroute.stats.counts import COUNTED, TokenCounts
from lunaroute.stats.session_sums import SessionSums
from lunaroute.stats.sums import add_miss

from .figures import (
    Cost,
    Tokens,
)
from .numbers import exchange_cost, miss_cost_usd, session_cost, to_usd, unpriced_cost
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
    has_misses: bool = False
    """Cache hits were missed in the exchange, or the session."""
    old_miss_usd: float | None = None
    new_miss_usd: float | None = None

    @property
    def is_changed(self) -> bool:
        return (self.old, self.old_miss_usd) != (self.new, self.new_miss_usd)


class SessionRepricer:
    """add(event)*, from the first event of one session to its last."""

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._sums = CostSums()
        self._misses = SessionSums()
        self._provider = ""
        self._is_transcript = False
        self._asked: dict[str, tuple[str, str | None]] = {}
        """request_id → provider and model of the request."""

    def add(self, event: Event) -> Recost | None:
        """Take the next event; None where it has no cost."""
        match event:
            case Started():
                self._provider = event.provider
                self._is_transcript = event.source == "transcript"
            case RequestRecorded():
                self._asked[event.request_id] = (event.provider, event.model_requested)
            case ResponseRecorded():
                return self._exchange(event)
            case Completed():
                return self._session(event)
        return None

    def _session(self, event: Completed) -> Recost:
        old, context = event.final_stats.estimated_cost, event.final_stats.context
        recost = Recost(event=event, provider=self._provider, model=None, old=old, new=session_cost(self._sums))
        if context is None or not context.cache_miss_count:
            return recost
        old_usd, new_usd = context.cache_miss_cost_usd, miss_cost_usd(self._misses)
        return msgspec.structs.replace(recost, has_misses=True, old_miss_usd=old_usd, new_miss_usd=new_usd)

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
        # Of an answer in a transcript there may be the input alone: then nobody knows what it cost.
        is_counted = tokens.output_tokens is not None or not self._is_transcript
        parts = self._pricer.price(request) if is_counted else None
        if parts is None:
            self._sums.unpriced_requests += 1
            new = unpriced_cost()
        else:
            add_priced(self._sums, parts, tokens.total_tokens or 0, self._pricer.version)
            new = exchange_cost(parts, tokens.total_tokens or 0, self._pricer.version)
        model = event.model_used or model_requested
        recost = Recost(event=event, provider=provider, model=model, old=old, new=new)
        miss = None if event.stats.context is None else event.stats.context.cache_miss
        if miss is None:
            return recost
        cost = miss_picodollars(miss.missed_tokens, request, parts or {}, self._pricer)
        add_miss(self._misses, miss.missed_tokens, cost)
        new_usd = None if cost is None else to_usd(cost)
        return msgspec.structs.replace(recost, has_misses=True, old_miss_usd=miss.cost_usd, new_miss_usd=new_usd)


def _counts(tokens: Tokens) -> TokenCounts:
    return TokenCounts(**{name: getattr(tokens, name) for name in COUNTED})


def _opened_wall_ns(event: ResponseRecorded) -> int:
    """When the request arrived: that long before the response's end."""
    ended = datetime.fromisoformat(event.timestamp) - _EPOCH
    return ended // timedelta(microseconds=1) * 1000 - round(event.stats.total_duration_ms * 1e6)
