"""Prices: the parts of a cost, each by its own rate, and no price where the table has none.

The expected dollars are worked out by hand from the providers' published prices of the models named here.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lunaroute.dialects.facts import SideUsage
from lunaroute.pricing import CostParts, CostSums, Pricer, PriceRequest
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.stats import TokenCounts

NOVEMBER_2026_NS = 1_795_300_000 * 1_000_000_000
MILLION = 1_000_000


def price(
    tokens: TokenCounts,
    *,
    provider: str = "anthropic",
    model: str | None = "claude-haiku-4-5",
    requested: str | None = None,
    **more: Any,
) -> dict[str, CostParts] | None:
    request = PriceRequest(
        provider=provider,
        model_used=model,
        model_requested=requested,
        tokens=tokens,
        usage_raw=more.pop("usage_raw", None),
        service_tier=more.pop("service_tier", None),
        wall_ns=more.pop("wall_ns", NOVEMBER_2026_NS),
        **more,
    )
    return Pricer().price(request)


def parts(tokens: TokenCounts, **more: Any) -> CostParts:
    costs = price(tokens, **more)
    assert costs is not None
    [only] = costs.values()
    return only


def usd(picodollars: int) -> float:
    return picodollars / PICODOLLARS


def test_each_part_has_its_own_rate_and_the_parts_are_the_total() -> None:
    """claude-haiku-4-5: $1 in, $5 out, $0.10 cache read, $1.25 / $2 cache write for 5 minutes / 1 hour."""
    cost = parts(
        TokenCounts(
            input_tokens=10 * MILLION,
            output_tokens=3 * MILLION,
            thinking_tokens=1 * MILLION,
            cache_read_tokens=4 * MILLION,
            cache_creation_tokens=3 * MILLION,
            cache_creation_5m_tokens=2 * MILLION,
            cache_creation_1h_tokens=1 * MILLION,
        )
    )
    assert usd(cost.input) == 3.0
    assert usd(cost.cache_read) == 0.4
    assert usd(cost.cache_creation) == 4.5
    assert usd(cost.output) == 10.0
    assert usd(cost.thinking) == 5.0
    assert usd(cost.total) == 22.9


def test_cache_writes_of_unstated_life_cost_the_plain_write_price() -> None:
    cost = parts(TokenCounts(input_tokens=MILLION, cache_creation_tokens=MILLION))
    assert (usd(cost.cache_creation), cost.input) == (1.25, 0)


def test_a_single_token_is_not_rounded_away() -> None:
    assert parts(TokenCounts(input_tokens=2), provider="openai", model="text-embedding-3-small").total == 40_000


def test_long_context_raises_the_rate_of_the_whole_request() -> None:
    """claude-sonnet-4-5: $3 up to 200,000 input tokens, $6 above."""
    at_limit = parts(TokenCounts(input_tokens=200_000, output_tokens=0), model="claude-sonnet-4-5")
    above = parts(TokenCounts(input_tokens=200_001, output_tokens=0), model="claude-sonnet-4-5")
    assert usd(at_limit.input) == 0.6
    assert usd(above.input) == pytest.approx(1.200006)


def test_the_tier_that_served_the_request_has_its_price() -> None:
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=MILLION)
    plain = parts(tokens, provider="openai", model="gpt-5")
    assert parts(tokens, provider="openai", model="gpt-5", service_tier="default") == plain
    assert parts(tokens, provider="openai", model="gpt-5", service_tier="flex").total == plain.total // 2
    assert parts(tokens, provider="openai", model="gpt-5", service_tier="priority").total == plain.total * 2


def test_provider_side_searches_are_paid_by_the_piece() -> None:
    searched = {"server_tool_use": {"web_search_requests": 3}}
    assert usd(parts(TokenCounts(input_tokens=0), usage_raw=searched).total) == 0.03
    broken = {"server_tool_use": {"web_search_requests": "many"}}
    assert parts(TokenCounts(input_tokens=0), usage_raw=broken).total == 0


def test_a_helper_models_pass_is_priced_by_its_own_model_on_top() -> None:
    side = SideUsage(kind="advisor_message", model="claude-sonnet-4-5", input_tokens=100_000, output_tokens=0)
    costs = price(TokenCounts(input_tokens=MILLION, output_tokens=0), side_usages=[side])
    assert costs is not None
    assert {model: usd(cost.total) for model, cost in costs.items()} == {
        "claude-haiku-4-5": 1.0,
        "claude-sonnet-4-5": pytest.approx(0.3),
    }


def test_a_pass_without_a_model_is_the_responses_own() -> None:
    side = SideUsage(kind="compaction", model=None, input_tokens=MILLION, output_tokens=None)
    assert usd(parts(TokenCounts(input_tokens=MILLION), side_usages=[side]).total) == 2.0


def test_the_used_model_is_priced_and_the_requested_one_where_the_table_lacks_it() -> None:
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=0)
    assert price(tokens, model="claude-haiku-4-5-20251001", requested="claude-opus-4-1") == {
        "claude-haiku-4-5-20251001": CostParts(input=PICODOLLARS)
    }
    assert price(tokens, model="an internal name", requested="claude-haiku-4-5") == {
        "an internal name": CostParts(input=PICODOLLARS)
    }
    assert price(tokens, model=None, requested="claude-haiku-4-5") == {"claude-haiku-4-5": CostParts(input=PICODOLLARS)}


@pytest.mark.parametrize(
    ("provider", "model"),
    [("anthropic", "no-such-model"), ("ollama", "llama3"), ("my-gateway", "claude-haiku-4-5"), ("openai", None)],
)
def test_what_the_table_does_not_know_has_no_price(provider: str, model: str | None) -> None:
    assert price(TokenCounts(input_tokens=5, output_tokens=5), provider=provider, model=model) is None


def test_contradictory_counts_never_make_a_part_negative() -> None:
    """Some gateways report more reasoning than output, and more cached than input tokens (WIRE B)."""
    cost = parts(
        TokenCounts(
            input_tokens=100,
            cache_read_tokens=150,
            cache_creation_tokens=70,
            audio_input_tokens=10,
            output_tokens=20,
            thinking_tokens=30,
            audio_output_tokens=5,
        )
    )
    assert (cost.input, cost.cache_creation, cost.output) == (0, 0, 0)
    assert cost.cache_read == 100 * 100_000
    assert cost.thinking == 20 * 5_000_000


def test_the_price_of_the_time_of_the_request_counts() -> None:
    """deepseek-chat was priced by the hour of the day in 2025."""
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=0)
    costs = {
        parts(tokens, provider="deepseek", model="deepseek-chat", wall_ns=seconds * 1_000_000_000).total
        for seconds in (1_748_786_400, 1_748_799_900, 1_795_300_000)
    }
    assert len(costs) > 1


def test_sums_of_costs_are_exact() -> None:
    sums = CostSums()
    for _ in range(3):
        sums.add({"a": CostParts(input=1, output=2), "b": CostParts(thinking=3)}, 10, "v")
    assert (sums.parts.total, sums.by_model, sums.priced_requests, sums.priced_tokens) == (18, {"a": 9, "b": 9}, 3, 30)


def test_the_price_table_is_imported_only_when_a_price_is_asked_for() -> None:
    code = "import sys, lunaroute.pricing; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
