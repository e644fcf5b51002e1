"""The price table: provider, model and time in, rates out. The only module that touches genai-prices.

It is imported when the first price is asked for: it brings pydantic along, and most processes never ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PER_MTOK = 1_000_000
"""Picodollars a token, at a price of one US dollar per million tokens."""
PER_THOUSAND = 1_000_000_000
"""Picodollars a piece, at a price of one US dollar per thousand."""

_MINUTE_NS = 60_000_000_000
"""Prices change at most from one minute to the next."""

_PROVIDERS = {"chatgpt": "openai"}
"""Our provider names that the table knows under another. ChatGPT subscriptions bill no tokens: what is shown is what
the same tokens cost through the API, as it is for the subscriptions of other providers."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Picodollars a token (a piece), for one request: time, tier and size are already taken into account."""

    input: int
    output: int
    thinking: int
    cache_read: int
    cache_write: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    audio_output: int
    request: int
    web_search: int


@cache
def price_version() -> str:
    """Which table it is."""
    import genai_prices

    return f"genai-prices {genai_prices.__version__}"


def find_rates(
    provider: str, model: str, *, wall_ns: int, input_tokens: int, context: Mapping[str, str]
) -> Rates | None:
    """The rates for a request of this size at this time; None where the table has no token price for it."""
    steps = _steps_at(provider, model, wall_ns // _MINUTE_NS, tuple(sorted(context.items())))
    rates = None
    for start, step in steps:
        if input_tokens > start:
            rates = step
    return rates


@lru_cache(maxsize=4096)
def _steps_at(provider: str, model: str, minute: int, context: tuple[tuple[str, str], ...]) -> list[tuple[int, Rates]]:
    """(more input tokens than this, rates) in ascending order: one step for most models, empty for an unknown one."""
    found = _find_model(provider, model)
    if found is None:
        return []
    table_provider, info = found
    # The table's own rule: variants are the model's at its own provider, not at one that resells it.
    is_own = any(info is own for own in table_provider.models)
    at = datetime.fromtimestamp(minute * 60, UTC)
    price = info.get_prices(at, dict(context) if is_own else None)
    tiered = [value for value in price.__dict__.values() if value is not None and not isinstance(value, Decimal)]
    starts = sorted({-1, *(tier.start for value in tiered for tier in value.tiers)})
    steps = [(start, _rates(price, start + 1)) for start in starts]
    return [(start, rates) for start, rates in steps if rates is not None]


@lru_cache(maxsize=4096)
def _find_model(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, _PROVIDERS.get(provider, provider), None)
    except LookupError:
        return None


def _rates(price: ModelPrice, input_tokens: int) -> Rates | None:
    """Where the table has no price of its own for a kind of tokens, they cost what the kind they belong to costs;
    cache writes of a stated life cost 1.25 (5 minutes) and 2 (1 hour) times the input, Anthropic's rule."""

    def rate(name: str, per: int = PER_MTOK) -> int | None:
        # Not getattr: the table answers absent prices by a search in its registry.
        value = price.__dict__.get(name)
        if value is None:
            return None
        if not isinstance(value, Decimal):
            tiers = [tier.price for tier in value.tiers if input_tokens > tier.start]
            value = tiers[-1] if tiers else value.base
        return round(value * per)

    input_rate, output_rate = rate("input_mtok"), rate("output_mtok")
    if input_rate is None and output_rate is None:
        return None
    base_input, base_output = input_rate or 0, output_rate or 0
    cache_read, cache_write = rate("cache_read_mtok"), rate("cache_write_mtok")
    return Rates(
        input=base_input,
        output=base_output,
        thinking=_or(rate("output_reasoning_mtok"), base_output),
        cache_read=_or(cache_read, base_input),
        cache_write=_or(cache_write, base_input),
        cache_write_5m=_or(rate("cache_write_5m_mtok"), _or(cache_write, base_input * 5 // 4)),
        cache_write_1h=_or(rate("cache_write_1h_mtok"), base_input * 2),
        audio_input=_or(rate("input_audio_mtok"), base_input),
        audio_output=_or(rate("output_audio_mtok"), base_output),
        request=_or(rate("requests_kcount", PER_THOUSAND), 0),
        web_search=_or(rate("web_searches_kcount", PER_THOUSAND), 0),
    )


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
