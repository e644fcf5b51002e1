"""[pure] What an exchange's context cost: the change of its prompt and the provider's token counts in, figures out."""

from __future__ import annotations

from lunaroute.events.figures import CacheMiss, Context
from lunaroute.pricing import PICODOLLARS, CostParts, Pricer, PriceRequest, miss_picodollars
from lunaroute.sessions.state import OpenExchange
from lunaroute.stats.caching import CacheMiss as Missed
from lunaroute.stats.caching import find_miss, new_input_tokens
from lunaroute.stats.counts import TokenCounts


def economics_of(
    request: OpenExchange, price_request: PriceRequest, parts: dict[str, CostParts], pricer: Pricer
) -> tuple[Context | None, int | None]:
    """(its context, what its missed cache hit cost in picodollars); the latter is None where there was no miss, or no
    price. `parts` is what the exchange cost, by model."""
    tokens, change = price_request.tokens, request.change
    if change is None or tokens.input_tokens is None:
        return None, None
    new = new_input_tokens(change, request.answered, tokens, is_first=request.is_first)
    missed = find_miss(change, request.answered, tokens, price_request.wall_ns)
    cost = None if missed is None else miss_picodollars(missed.missed_tokens, price_request, parts, pricer)
    context = Context(
        new_input_tokens=new,
        resent_input_tokens=None if new is None else tokens.input_tokens - new,
        cache_read_share=_share(tokens),
        cache_miss=None if missed is None else _event(missed, cost),
    )
    return context, cost


def _share(tokens: TokenCounts) -> float | None:
    if tokens.cache_read_tokens is None or not tokens.input_tokens:
        return None
    return min(1.0, tokens.cache_read_tokens / tokens.input_tokens)


def _event(missed: Missed, cost: int | None) -> CacheMiss:
    difference = missed.difference
    return CacheMiss(
        missed_tokens=missed.missed_tokens,
        reason=missed.reason,
        message_index=None if difference is None else difference.message_index,
        block_kind=None if difference is None else difference.block_kind,
        block_excerpt=None if difference is None else difference.excerpt,
        idle_s=missed.idle_s,
        cost_usd=None if cost is None else cost / PICODOLLARS,
    )
