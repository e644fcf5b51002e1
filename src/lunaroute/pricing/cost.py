"""Amounts of money: whole picodollars (10⁻¹² US$), so that parts add up to totals exactly.

A price of $1 per million tokens is 1,000,000 picodollars a token; the finest price in use ($0.02 per million, two
tokens of an embedding) still is a whole number, where microdollars would round it to nothing.
"""

from __future__ import annotations

import msgspec

PICODOLLARS = 1_000_000_000_000
"""Per US dollar."""


class CostParts(msgspec.Struct, gc=False):
    """The parts of a cost; they do not overlap and their sum is the total."""

    input: int = 0
    """Uncached input, and fees per request or per provider-side search."""
    output: int = 0
    """Output without thinking."""
    thinking: int = 0
    cache_read: int = 0
    cache_creation: int = 0


class CostSums(msgspec.Struct):
    """The running cost of a session."""

    parts: CostParts = msgspec.field(default_factory=CostParts)
    by_model: dict[str, int] = msgspec.field(default_factory=dict)
    priced_requests: int = 0
    priced_tokens: int = 0
    unpriced_requests: int = 0
    price_version: str | None = None
