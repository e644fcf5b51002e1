"""Amounts of money added up."""

from __future__ import annotations

from .cost import CostParts, CostSums


def total_of(parts: CostParts) -> int:
    """Picodollars."""
    return parts.input + parts.output + parts.thinking + parts.cache_read + parts.cache_creation


def add_parts(total: CostParts, parts: CostParts) -> None:
    """Take these parts into a total."""
    total.input += parts.input
    total.output += parts.output
    total.thinking += parts.thinking
    total.cache_read += parts.cache_read
    total.cache_creation += parts.cache_creation


def add_priced(sums: CostSums, by_model: dict[str, CostParts], total_tokens: int, price_version: str) -> None:
    """Take a priced exchange in."""
    for model_name, parts in by_model.items():
        add_parts(sums.parts, parts)
        sums.by_model[model_name] = sums.by_model.get(model_name, 0) + total_of(parts)
    sums.priced_requests += 1
    sums.priced_tokens += total_tokens
    sums.price_version = price_version
