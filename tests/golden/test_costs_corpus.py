"""Costs of real exchanges against an independent source of prices (the corpus's cost_oracle.json).

Token counts are those that are recorded of the exchanges' bodies, so that all of the way from bytes to dollars is
compared. Fees by the piece and tiers are left out: the oracle prices tokens alone.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from lunaroute.events.types import ResponseRecorded
from lunaroute.pricing import CostParts, Pricer, PriceRequest
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.recorder.pipeline import Pipeline, PipelineSettings
from lunaroute.stats import TokenCounts
from lunaroute.stats.tokens import COUNTED
from tests.corpus import corpus_dir, exchange, expected
from tests.corpus_scripts import script_of

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


def recorded_tokens(number: int, exchange: dict[str, Any]) -> TokenCounts:
    """The counts of the exchange as the pipeline records them."""
    script, pipeline = script_of(number, exchange), Pipeline(PipelineSettings())
    events = [*pipeline.feed(script.received), *pipeline.feed(script.ended)]
    [tokens] = [event.stats.tokens for event in events if isinstance(event, ResponseRecorded)]
    return TokenCounts(**{name: getattr(tokens, name) for name in COUNTED})


def cost_of(row: dict[str, Any], tokens: TokenCounts) -> CostParts:
    request = PriceRequest(
        provider=row["provider_id"],
        model_used=row["model"],
        model_requested=None,
        tokens=tokens,
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
        cost = cost_of(row, recorded_tokens(compared, exchange(exchange_id)))
        input_usd = Decimal(cost.input + cost.cache_read + cost.cache_creation) / PICODOLLARS
        output_usd = Decimal(cost.output + cost.thinking) / PICODOLLARS
        if (input_usd, output_usd) != (Decimal(row["input_price"]), Decimal(row["output_price"])):
            wrong.append((exchange_id, row["model"], input_usd, row["input_price"], output_usd, row["output_price"]))
    assert compared >= 100
    assert wrong == []


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google"])
def test_the_oracle_covers_the_main_providers(provider: str) -> None:
    assert sum(row["provider_id"] == provider for row in oracle().values()) >= 20
