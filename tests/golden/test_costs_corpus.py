"""Costs of real exchanges against an independent source of prices (the corpus's cost_oracle.json).

Token counts come from the corpus's own truth, normalised here, so that no dialect code takes part.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from lunaroute.pricing import CostParts, Pricer, PriceRequest
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.stats import TokenCounts
from tests.corpus import corpus_dir, expected

AUGUST_2026_NS = 1_785_900_000 * 1_000_000_000
"""When the oracle was dated."""

REPRICED = {"mistral-medium-latest", "mistral-small-latest", "openai.gpt-5.6-luna", "qwen-3-coder-480b"}
"""Models whose table entry changed after that without a date to look it up by: moved aliases, a withdrawn model."""


def oracle() -> dict[str, dict[str, Any]]:
    prices: dict[str, dict[str, Any]] = json.loads((corpus_dir() / "cost_oracle.json").read_bytes())
    return {
        exchange_id: row
        for exchange_id, row in prices.items()
        if exchange_id in expected() and row["model"] not in REPRICED
    }


def inclusive(truth: dict[str, Any], provider: str) -> TokenCounts:
    """The corpus's counts, which are as reported, by the inclusive rule."""
    input_tokens, output_tokens = truth["input_tokens"], truth["output_tokens"]
    raw = truth["raw_usage"] or {}
    cache_read, cache_creation = truth["cache_read_tokens"], truth["cache_creation_tokens"]
    if provider == "anthropic":
        input_tokens += (cache_read or 0) + (cache_creation or 0)
    if "thoughtsTokenCount" in raw or "toolUsePromptTokenCount" in raw:
        input_tokens += raw.get("toolUsePromptTokenCount", 0)
        output_tokens = (output_tokens or 0) + raw.get("thoughtsTokenCount", 0)
    return TokenCounts(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=truth["reasoning_tokens"],
        cache_read_tokens=cache_read,
        cache_creation_tokens=cache_creation,
        cache_creation_5m_tokens=truth["cache_creation_5m"],
        cache_creation_1h_tokens=truth["cache_creation_1h"],
        audio_input_tokens=truth["audio_input_tokens"],
        audio_output_tokens=truth["audio_output_tokens"],
    )


def cost_of(exchange_id: str, row: dict[str, Any]) -> CostParts:
    truth = expected()[exchange_id]
    request = PriceRequest(
        provider=row["provider_id"],
        model_used=row["model"],
        model_requested=None,
        tokens=inclusive(truth, row["provider_id"]),
        usage_raw=None,
        service_tier=None,
        wall_ns=AUGUST_2026_NS,
    )
    costs = Pricer().price(request)
    assert costs is not None, (row["provider_id"], row["model"])
    return costs[row["model"]]


def test_costs_of_real_exchanges_agree_with_the_oracle() -> None:
    wrong = []
    compared = 0
    for exchange_id, row in oracle().items():
        compared += 1
        cost = cost_of(exchange_id, row)
        input_usd = Decimal(cost.input + cost.cache_read + cost.cache_creation) / PICODOLLARS
        output_usd = Decimal(cost.output + cost.thinking) / PICODOLLARS
        if (input_usd, output_usd) != (Decimal(row["input_price"]), Decimal(row["output_price"])):
            wrong.append((exchange_id, row["model"], input_usd, row["input_price"], output_usd, row["output_price"]))
    assert compared >= 100
    assert wrong == []


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google"])
def test_the_oracle_covers_the_main_providers(provider: str) -> None:
    assert sum(row["provider_id"] == provider for row in oracle().values()) >= 20
