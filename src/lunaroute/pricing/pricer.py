"""The cost of one exchange: token counts, model, provider and time in, parts of a cost out.

Per exchange and at that moment's price, with cache tiers, long-context tiers, the service tier and fees by the piece.
A model or provider that neither the user nor the table has a price for has none: None, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lunaroute.dialects.facts import Billing, SideUsage
from lunaroute.stats.counts import TokenCounts

from .adding import add_parts
from .cost import CostParts
from .own import OwnPrices, Prices
from .price_request import PriceRequest
from .table import Rates, find_rates, price_version

_MAX_PIECES = 1_000_000
"""No response made as many searches, or lasted as many seconds."""


class Pricer:
    """Prices exchanges; `version` says by which prices."""

    def __init__(self, own_prices: Prices | None = None) -> None:
        self._own = OwnPrices(own_prices or {})

    @property
    def version(self) -> str:
        """The table and, where there are prices of the user's own, a digest of them."""
        return f"{price_version()} + own {self._own.digest}" if self._own.digest else price_version()

    def price(self, request: PriceRequest) -> dict[str, CostParts] | None:
        """The cost by model (more than one only where a provider charges a helper model); None = not known, for want
        of a price or of anything to be paid for."""
        billing = request.billing
        names = [name for name in (request.model_used, request.model_requested) if name]
        is_used = request.tokens.total_tokens is not None or billing.audio_seconds > 0
        if not names or not is_used:
            return None
        if billing.is_free:
            return {names[0]: CostParts()}
        rates = self._rates(request, names, request.tokens)
        if rates is None:
            return None
        costs = {names[0]: _cost(request.tokens, rates, billing)}
        for side in billing.side_usages:
            tokens = _side_tokens(side)
            side_rates = self._rates(request, [side.model] if side.model else names, tokens)
            if side_rates is None:
                return None
            add_parts(costs.setdefault(side.model or names[0], CostParts()), _cost(tokens, side_rates, Billing()))
        return costs

    def _rates(self, request: PriceRequest, names: list[str], tokens: TokenCounts) -> Rates | None:
        """Of the first name that has a price, the user's own first. What is counted in tokens needs one for tokens."""
        for rates in self._candidates(request, names, tokens):
            if rates is not None and (rates.has_token_price or not tokens.total_tokens):
                return rates
        return None

    def _candidates(self, request: PriceRequest, names: list[str], tokens: TokenCounts) -> Iterator[Rates | None]:
        if self._own.digest:
            yield from (self._own.find(request.provider, name) for name in names)
        context = _context(request.billing)
        yield from (self._in_table(request, name, tokens, context) for name in names)

    def _in_table(
        self, request: PriceRequest, model: str, tokens: TokenCounts, context: Mapping[str, str]
    ) -> Rates | None:
        return find_rates(
            request.provider,
            model,
            wall_ns=request.wall_ns,
            input_tokens=tokens.input_tokens or 0,
            context=context,
        )


def _cost(tokens: TokenCounts, rates: Rates, billing: Billing) -> CostParts:
    # Providers' parts can exceed their whole (WIRE B); no part of a price is ever negative.
    input_left, output_left = tokens.input_tokens or 0, tokens.output_tokens or 0
    cache_read = min(tokens.cache_read_tokens or 0, input_left)
    input_left -= cache_read
    cache_creation = min(tokens.cache_creation_tokens or 0, input_left)
    input_left -= cache_creation
    audio_input = min(tokens.audio_input_tokens or 0, input_left)
    input_left -= audio_input
    image_input = min(max(0, billing.image_input_tokens), input_left)
    input_left -= image_input
    thinking = min(tokens.thinking_tokens or 0, output_left)
    output_left -= thinking
    audio_output = min(tokens.audio_output_tokens or 0, output_left)
    output_left -= audio_output
    image_output = min(max(0, billing.image_output_tokens), output_left)
    output_left -= image_output
    return CostParts(
        input=input_left * rates.input
        + audio_input * rates.audio_input
        + image_input * rates.image_input
        + _fees(rates, billing),
        output=output_left * rates.output + audio_output * rates.audio_output + image_output * rates.image_output,
        thinking=thinking * rates.thinking,
        cache_read=cache_read * rates.cache_read,
        cache_creation=_cache_creation(tokens, cache_creation, rates),
    )


def _fees(rates: Rates, billing: Billing) -> int:
    """What is not paid by the token."""
    seconds = billing.audio_seconds if 0 < billing.audio_seconds < _MAX_PIECES else 0
    return (
        rates.request
        + rates.web_search * _pieces(billing.web_searches)
        + rates.file_search * _pieces(billing.file_searches)
        + round(rates.audio_second * seconds)
    )


def _pieces(count: int) -> int:
    return count if 0 < count < _MAX_PIECES else 0


def _cache_creation(tokens: TokenCounts, cache_creation: int, rates: Rates) -> int:
    """Writes by their stated life; what states none costs the provider's plain write price."""
    in_1h = min(tokens.cache_creation_1h_tokens or 0, cache_creation)
    in_5m = min(tokens.cache_creation_5m_tokens or 0, cache_creation - in_1h)
    rest = cache_creation - in_1h - in_5m
    return in_1h * rates.cache_write_1h + in_5m * rates.cache_write_5m + rest * rates.cache_write


def _context(billing: Billing) -> dict[str, str]:
    """What selects price variants, in the table's words."""
    context: dict[str, str] = {}
    if billing.service_tier == "batch":
        context["processing"] = "batch"
    elif billing.service_tier is not None:
        context["service_tier"] = billing.service_tier
    if billing.speed is not None:
        context["speed"] = billing.speed
    if billing.inference_geo is not None:
        context["inference_geo"] = billing.inference_geo
    return context


def _side_tokens(side: SideUsage) -> TokenCounts:
    return TokenCounts(
        input_tokens=side.input_tokens,
        output_tokens=side.output_tokens,
        cache_read_tokens=side.cache_read_tokens,
        cache_creation_tokens=side.cache_creation_tokens,
        cache_creation_5m_tokens=side.cache_creation_5m_tokens,
        cache_creation_1h_tokens=side.cache_creation_1h_tokens,
    )
