"""What a missed cache hit cost: what was paid, less what the same counts would have cost with the missed part read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lunaroute.stats.caching import without_miss

from .adding import total_of
from .cost import CostParts
from .price_request import PriceRequest
from .pricer import Pricer


def miss_picodollars(
    missed_tokens: int, request: PriceRequest, paid: Mapping[str, CostParts], pricer: Pricer
) -> int | None:
    """`paid` is what the exchange cost, by model; None where it has no price."""
    ideal = msgspec.structs.replace(request, tokens=without_miss(request.tokens, missed_tokens))
    parts = pricer.price(ideal) if paid else None
    return None if parts is None else max(0, _total(paid) - _total(parts))


def _total(parts: Mapping[str, CostParts]) -> int:
    return sum(total_of(part) for part in parts.values())
