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
PER_HOUR = Decimal(10**12) / 3600
"""Picodollars a second, at a price of one US dollar per hour."""

_MINUTE_NS = 60_000_000_000
"""Prices change at most from one minute to the next."""

_PROVIDERS = {"chatgpt": "openai"}
"""Our provider names that the table knows under another. ChatGPT subscriptions bill no tokens: what is shown is what
the same tokens cost through the API, as it is for the subscriptions of other providers."""

_US_PREMIUM = Decimal("1.1")
"""Anthropic's rule: inference that stays in the US costs 1.1 times as much, tokens of every kind. The table does not
know it yet."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Picodollars a token (a piece, a second), for one request: time, tier and size are already taken into account."""

    input: int
    output: int
    thinking: int
    cache_read: int
    cache_write: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    audio_output: int
    image_input: int
    image_output: int
    audio_second: int
    request: int
    web_search: int
    file_search: int
    has_token_price: bool


@cache
def price_version() -> str:
    """Which table it is."""
    import genai_prices

    return f"genai-prices {genai_prices.__version__}"


def find_rates(
    provider: str, model: str, *, wall_ns: int, input_tokens: int, context: Mapping[str, str]
) -> Rates | None:
    """The rates for a request of this size at this time; None where the table has no price for it."""
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
    is_us_only = table_provider.id == "anthropic" and is_own and _is_us_only(info, context)
    premium = _US_PREMIUM if is_us_only else Decimal(1)
    tiered = [value for value in price.__dict__.values() if value is not None and not isinstance(value, Decimal)]
    starts = sorted({-1, *(tier.start for value in tiered for tier in value.tiers)})
    steps = [(start, rates_of(_at_size(price, start + 1), premium)) for start in starts]
    return [(start, rates) for start, rates in steps if rates is not None]


@lru_cache(maxsize=4096)
def _find_model(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, _PROVIDERS.get(provider, provider), None)
    except LookupError:
        return None


def _is_us_only(info: ModelInfo, context: tuple[tuple[str, str], ...]) -> bool:
    is_in_table = any("inference_geo" in variant.when for variant in info.price_variants or ())
    return ("inference_geo", "us") in context and not is_in_table


def _at_size(price: ModelPrice, input_tokens: int) -> dict[str, Decimal]:
    """The prices that hold for a request of this size, by the table's names of their units."""
    units: dict[str, Decimal] = {}
    # Not getattr: the table answers absent prices by a search in its registry.
    for name, value in price.__dict__.items():
        if isinstance(value, Decimal):
            units[name] = value
        elif value is not None:
            tiers = [tier.price for tier in value.tiers if input_tokens > tier.start]
            units[name] = tiers[-1] if tiers else value.base
    return units


def rates_of(units: Mapping[str, Decimal], premium: Decimal = Decimal(1)) -> Rates | None:
    """Rates out of US dollars by unit; None where there is neither a price for tokens nor for time.

    Where there is no price of its own for a kind of tokens, they cost what the kind they belong to costs; cache writes
    of a stated life cost 1.25 (5 minutes) and 2 (1 hour) times the input, Anthropic's rule."""

    def rate(name: str, per: int | Decimal = PER_MTOK) -> int | None:
        value = units.get(name)
        return None if value is None else round(value * per * (premium if per == PER_MTOK else 1))

    input_rate, output_rate = rate("input_mtok"), rate("output_mtok")
    audio_second = _first(rate("audio_hours", PER_HOUR), rate("input_audio_hours", PER_HOUR))
    has_token_price = input_rate is not None or output_rate is not None
    if not has_token_price and not audio_second:
        return None
    base_input, base_output = input_rate or 0, output_rate or 0
    cache_write = rate("cache_write_mtok")
    return Rates(
        input=base_input,
        output=base_output,
        thinking=_first(rate("output_reasoning_mtok"), base_output),
        cache_read=_first(rate("cache_read_mtok"), base_input),
        cache_write=_first(cache_write, base_input),
        cache_write_5m=_first(rate("cache_write_5m_mtok"), cache_write, base_input * 5 // 4),
        cache_write_1h=_first(rate("cache_write_1h_mtok"), base_input * 2),
        audio_input=_first(rate("input_audio_mtok"), base_input),
        audio_output=_first(rate("output_audio_mtok"), base_output),
        image_input=_first(rate("input_image_mtok"), base_input),
        image_output=_first(rate("output_image_mtok"), base_output),
        audio_second=audio_second,
        request=_first(rate("requests_kcount", PER_THOUSAND)),
        web_search=_first(rate("web_searches_kcount", PER_THOUSAND)),
        file_search=_first(rate("storage_searches_kcount", PER_THOUSAND)),
        has_token_price=has_token_price,
    )


def _first(*rates: int | None) -> int:
    """The first that is known; nothing is charged for what has no price."""
    return next((rate for rate in rates if rate is not None), 0)
