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
from lunaroute.pricing import Pricer, PriceRequest
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.stats import TokenCounts
from lunaroute.stats.counts import COUNTED
from tests.corpus import corpus_dir, exchange, expected
from tests.corpus_scripts import script_of

AUGUST_2026_NS = 1_785_900_000 * 1_000_000_000
"""When the oracle was dated."""

REPRICED = {
    "mistral-medium-latest": "The alias has moved to a dearer model, and the table keeps no date of that.",
    "mistral-small-latest": "The same.",
    "openai.gpt-5.6-luna": "The oracle's table had no price for cache writes yet, nor the lower one since 2026-07-30.",
    "qwen-3-coder-480b": "Withdrawn; the oracle had it for nothing, the table does not have it any more.",
}
"""Models of which the oracle and the table say different prices, and why; what was counted is the same."""
STRICT_SHARE = 0.88
"""Of the oracle's exchanges, those whose cost agrees to the last digit."""


def oracle() -> dict[str, dict[str, Any]]:
    prices: dict[str, dict[str, Any]] = json.loads((corpus_dir() / "cost_oracle.json").read_bytes())
    return {exchange_id: row for exchange_id, row in prices.items() if exchange_id in expected()}


def recorded_tokens(number: int, exchange: dict[str, Any]) -> TokenCounts:
    """The counts of the exchange as the pipeline records them."""
    script, pipeline = script_of(number, exchange), Pipeline(PipelineSettings())
    events = [*pipeline.feed(script.received), *pipeline.feed(script.ended)]
    [tokens] = [event.stats.tokens for event in events if isinstance(event, ResponseRecorded)]
    return TokenCounts(**{name: getattr(tokens, name) for name in COUNTED})


def cost_of(row: dict[str, Any], tokens: TokenCounts) -> tuple[Decimal, Decimal] | None:
    """(input, output) in US dollars; None where the table has no price."""
    request = PriceRequest(
        provider=row["provider_id"],
        model_used=row["model"],
        model_requested=None,
        tokens=tokens,
        wall_ns=AUGUST_2026_NS,
    )
    costs = Pricer().price(request)
    if costs is None:
        return None
    cost = costs[row["model"]]
    input_picodollars = cost.input + cost.cache_read + cost.cache_creation
    return Decimal(input_picodollars) / PICODOLLARS, Decimal(cost.output + cost.thinking) / PICODOLLARS


def test_costs_of_real_exchanges_agree_with_the_oracle() -> None:
    """To the last digit, but for models whose price has changed since: of those, in what was counted."""
    wrong = []
    same = 0
    for number, (exchange_id, row) in enumerate(oracle().items()):
        tokens = recorded_tokens(number, exchange(exchange_id))
        counted = {name: count for name, count in row["usage"].items() if name in COUNTED}
        assert {name: getattr(tokens, name) for name in counted} == counted, exchange_id
        cost, right = cost_of(row, tokens), (Decimal(row["input_price"]), Decimal(row["output_price"]))
        same += cost == right
        if cost != right and row["model"] not in REPRICED:
            wrong.append((exchange_id, row["model"], cost, right))
    assert wrong == []
    assert len(oracle()) >= 100
    print(f"\n{len(oracle())} costs, of which {same} ({same / len(oracle()):.2%}) are the oracle's to the last digit")
    assert same >= STRICT_SHARE * len(oracle())


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google"])
def test_the_oracle_covers_the_main_providers(provider: str) -> None:
    assert sum(row["provider_id"] == provider for row in oracle().values()) >= 20
