"""The cost of one exchange: token counts, model, provider and time in, parts of a cost out.

Per exchange and at that moment's price, with cache tiers, long-context tiers and the service tier. A model or
provider that the table does not know has no price: None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lunaroute.dialects.facts import SideUsage
from lunaroute.stats.tokens import TokenCounts

from .cost import CostParts
from .table import Rates, find_rates, price_version


class PriceRequest(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    model_used: str | None
    model_requested: str | None
    tokens: TokenCounts
    side_usages: Sequence[SideUsage] = ()
    """Passes that the provider bills on top of `tokens`."""
    usage_raw: Mapping[str, Any] | None
    """The provider's own usage object, for what it says beyond token counts."""
    service_tier: str | None
    wall_ns: int


class Pricer:
    """Prices exchanges; `version` says by which table."""

    @property
    def version(self) -> str:
        return price_version()

    def price(self, request: PriceRequest) -> dict[str, CostParts] | None:
        """The cost by model (more than one only where a provider charges a helper model); None = not known."""
        raw = request.usage_raw or {}
        context = _context(request.service_tier, raw)
        names = [name for name in (request.model_used, request.model_requested) if name]
        for name in names:
            rates = self._rates(request, name, request.tokens, context)
            if rates is not None:
                break
        else:
            return None
        costs = {names[0]: _cost(request.tokens, rates, raw)}
        for side in request.side_usages:
            tokens = _side_tokens(side)
            side_rates = self._rates(request, side.model or name, tokens, context)
            if side_rates is None:
                return None
            costs.setdefault(side.model or names[0], CostParts()).add(_cost(tokens, side_rates, {}))
        return costs

    def _rates(
        self, request: PriceRequest, model: str, tokens: TokenCounts, context: Mapping[str, str]
    ) -> Rates | None:
        return find_rates(
            request.provider,
            model,
            wall_ns=request.wall_ns,
            input_tokens=tokens.input_tokens or 0,
            context=context,
        )


def _cost(tokens: TokenCounts, rates: Rates, raw: Mapping[str, Any]) -> CostParts:
    # Providers' parts can exceed their whole (WIRE B); no part of a price is ever negative.
    input_tokens, output_tokens = tokens.input_tokens or 0, tokens.output_tokens or 0
    cache_read = min(tokens.cache_read_tokens or 0, input_tokens)
    cache_creation = min(tokens.cache_creation_tokens or 0, input_tokens - cache_read)
    audio_input = min(tokens.audio_input_tokens or 0, input_tokens - cache_read - cache_creation)
    thinking = min(tokens.thinking_tokens or 0, output_tokens)
    audio_output = min(tokens.audio_output_tokens or 0, output_tokens - thinking)
    plain_input = input_tokens - cache_read - cache_creation - audio_input
    plain_output = output_tokens - thinking - audio_output
    fees = rates.request + rates.web_search * _web_searches(raw)
    return CostParts(
        input=plain_input * rates.input + audio_input * rates.audio_input + fees,
        output=plain_output * rates.output + audio_output * rates.audio_output,
        thinking=thinking * rates.thinking,
        cache_read=cache_read * rates.cache_read,
        cache_creation=_cache_creation(tokens, cache_creation, rates),
    )


def _cache_creation(tokens: TokenCounts, cache_creation: int, rates: Rates) -> int:
    """Writes by their stated life; what states none costs the provider's plain write price."""
    in_1h = min(tokens.cache_creation_1h_tokens or 0, cache_creation)
    in_5m = min(tokens.cache_creation_5m_tokens or 0, cache_creation - in_1h)
    rest = cache_creation - in_1h - in_5m
    return in_1h * rates.cache_write_1h + in_5m * rates.cache_write_5m + rest * rates.cache_write


def _context(service_tier: str | None, raw: Mapping[str, Any]) -> dict[str, str]:
    """What selects price variants, in the table's words."""
    context: dict[str, str] = {}
    tier = service_tier or raw.get("service_tier")
    if tier == "batch":
        context["processing"] = "batch"
    elif isinstance(tier, str):
        context["service_tier"] = tier
    speed = raw.get("speed")
    if isinstance(speed, str):
        context["speed"] = speed
    return context


def _web_searches(raw: Mapping[str, Any]) -> int:
    server_tools = raw.get("server_tool_use")
    count = server_tools.get("web_search_requests") if isinstance(server_tools, dict) else None
    return count if isinstance(count, int) and 0 < count < 1_000_000 else 0


def _side_tokens(side: SideUsage) -> TokenCounts:
    return TokenCounts(
        input_tokens=side.input_tokens,
        output_tokens=side.output_tokens,
        cache_read_tokens=side.cache_read_tokens,
        cache_creation_tokens=side.cache_creation_tokens,
    )
