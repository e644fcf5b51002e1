"""What is to be priced."""

from __future__ import annotations

import msgspec

from lunaroute.dialects.facts import Billing
from lunaroute.stats.counts import TokenCounts


class PriceRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    provider: str
    model_used: str | None
    model_requested: str | None
    tokens: TokenCounts
    billing: Billing = Billing()
    wall_ns: int
