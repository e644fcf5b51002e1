"""Prices: the parts of a cost, each by its own rate, and no price where the table has none.

The expected dollars are worked out by hand from the providers' published prices of the models named here.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lunaroute.dialects.facts import Billing, SideUsage
from lunaroute.pricing import CostParts, CostSums, Pricer, PriceRequest, add_priced, total_of
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.pricing.own import Prices
from lunaroute.stats import TokenCounts

NOVEMBER_2026_NS = 1_795_300_000 * 1_000_000_000
MILLION = 1_000_000


def price(
    tokens: TokenCounts,
    *,
    provider: str = "anthropic",
    model: str | None = "claude-haiku-4-5",
    requested: str | None = None,
    own: Prices | None = None,
    **more: Any,
) -> dict[str, CostParts] | None:
    """`more` is what the provider says beside the counts."""
    request = PriceRequest(
        provider=provider,
        model_used=model,
        model_requested=requested,
        tokens=tokens,
        wall_ns=more.pop("wall_ns", NOVEMBER_2026_NS),
        billing=Billing(**more),
    )
    return Pricer(own).price(request)


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
    assert usd(total_of(cost)) == 22.9


def test_cache_writes_of_unstated_life_cost_the_plain_write_price() -> None:
    cost = parts(TokenCounts(input_tokens=MILLION, cache_creation_tokens=MILLION))
    assert (usd(cost.cache_creation), cost.input) == (1.25, 0)


def test_a_single_token_is_not_rounded_away() -> None:
    assert total_of(parts(TokenCounts(input_tokens=2), provider="openai", model="text-embedding-3-small")) == 40_000


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
    assert total_of(parts(tokens, provider="openai", model="gpt-5", service_tier="flex")) == total_of(plain) // 2
    assert total_of(parts(tokens, provider="openai", model="gpt-5", service_tier="priority")) == total_of(plain) * 2


@pytest.mark.parametrize(
    ("provider", "model", "usd_each"),
    [("anthropic", "claude-haiku-4-5", 0.01), ("openai", "gpt-5", 0.01), ("google", "gemini-3-flash-preview", 0.014)],
)
def test_web_searches_are_paid_by_the_piece(provider: str, model: str, usd_each: float) -> None:
    cost = parts(TokenCounts(input_tokens=0), provider=provider, model=model, web_searches=3)
    assert usd(total_of(cost)) == pytest.approx(3 * usd_each)
    assert total_of(parts(TokenCounts(input_tokens=0), provider=provider, model=model, web_searches=10**9)) == 0


def test_file_searches_are_paid_by_the_piece() -> None:
    """OpenAI: $2.50 per thousand."""
    assert usd(total_of(parts(TokenCounts(input_tokens=0), provider="openai", model="gpt-5", file_searches=4))) == 0.01


def test_batches_cost_half() -> None:
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=MILLION)
    plain, batch = parts(tokens), parts(tokens, service_tier="batch")
    assert total_of(batch) * 2 == total_of(plain)


def test_speed_has_its_price() -> None:
    """claude-opus-5-5: $4 in, $20 out; fast $8 and $40."""
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=MILLION)
    fast = parts(tokens, model="claude-opus-5-5", speed="fast")
    assert (usd(fast.input), usd(fast.output)) == (8.0, 40.0)
    assert usd(total_of(parts(tokens, model="claude-opus-5-5", speed="standard"))) == 24.0


def test_inference_that_stays_in_the_us_costs_a_tenth_more_for_tokens_and_nothing_more_for_searches() -> None:
    tokens = TokenCounts(
        input_tokens=3 * MILLION,
        output_tokens=MILLION,
        cache_read_tokens=MILLION,
        cache_creation_tokens=MILLION,
        cache_creation_1h_tokens=MILLION,
    )
    usual = parts(tokens, model="claude-opus-4-6", inference_geo="global", web_searches=1)
    in_us = parts(tokens, model="claude-opus-4-6", inference_geo="us", web_searches=1)
    assert usd(in_us.input) == pytest.approx(1.1 * 5.0 + 0.01)
    assert usd(in_us.cache_read) == pytest.approx(1.1 * usd(usual.cache_read))
    assert usd(in_us.cache_creation) == pytest.approx(1.1 * usd(usual.cache_creation))
    assert usd(in_us.output) == pytest.approx(1.1 * usd(usual.output))


def test_what_is_said_to_be_free_costs_nothing() -> None:
    assert (
        total_of(parts(TokenCounts(input_tokens=MILLION, output_tokens=0), model="claude-fable-5", is_free=True)) == 0
    )


def test_images_have_tokens_of_their_own_price() -> None:
    """gpt-image-1.5: $5 for text and $8 for images in, $10 and $32 out."""
    cost = parts(
        TokenCounts(input_tokens=2 * MILLION, output_tokens=2 * MILLION),
        provider="openai",
        model="gpt-image-1.5",
        image_input_tokens=MILLION,
        image_output_tokens=MILLION,
    )
    assert (usd(cost.input), usd(cost.output)) == (13.0, 42.0)


def test_speech_is_paid_by_its_length_where_it_is_not_counted_in_tokens() -> None:
    """whisper-1: $0.006 a minute."""
    cost = price(TokenCounts(), provider="openai", model=None, requested="whisper-1", audio_seconds=90.0)
    assert cost is not None
    assert usd(total_of(cost["whisper-1"])) == pytest.approx(0.009)
    tokens = TokenCounts(input_tokens=10)
    assert price(tokens, provider="openai", model="whisper-1") is None


# ---- prices of the user's own

OWN = {
    "vllm/qwen3-*": {"input_mtok": 0.1, "output_mtok": 0.3},
    "vllm/qwen3-coder*": {"input_mtok": 0.2, "output_mtok": 0.6, "cache_read_mtok": 0.02, "requests_kcount": 5.0},
    "vllm/qwen3-coder-fixed": {"input_mtok": 0.0, "output_mtok": 0.0},
    "anthropic/claude-haiku-4-5": {"input_mtok": 9.0, "output_mtok": 9.0},
}


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("vllm", "qwen3-8b", 0.4),
        ("vllm", "Qwen3-Coder-30B", 0.8 + 0.005),
        ("vllm", "qwen3-coder-fixed", 0.0),
        ("anthropic", "claude-haiku-4-5", 18.0),
    ],
)
def test_own_prices_go_first_and_the_closest_name_wins(provider: str, model: str, dollars: float) -> None:
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=MILLION)
    assert usd(total_of(parts(tokens, provider=provider, model=model, own=OWN))) == pytest.approx(dollars)


def test_an_own_price_for_the_requested_name_goes_before_the_tables_for_the_dated_one() -> None:
    tokens = TokenCounts(input_tokens=MILLION, output_tokens=0)
    cost = parts(tokens, model="claude-haiku-4-5-20251001", requested="claude-haiku-4-5", own=OWN)
    assert usd(total_of(cost)) == 9.0


def test_own_prices_leave_other_providers_alone() -> None:
    assert price(TokenCounts(input_tokens=1), provider="ollama", model="qwen3-8b", own=OWN) is None


def test_the_version_names_own_prices_and_changes_with_them() -> None:
    table = Pricer().version
    versions = {Pricer({"a/b": {"input_mtok": cents / 100}}).version for cents in range(3)}
    assert table.startswith("genai-prices ")
    assert len(versions) == 3
    assert all(version.startswith(f"{table} + own ") for version in versions)


# ---- helper models


def test_a_helper_models_pass_is_priced_by_its_own_model_on_top() -> None:
    side = SideUsage(kind="advisor_message", model="claude-sonnet-4-5", input_tokens=100_000, output_tokens=0)
    costs = price(TokenCounts(input_tokens=MILLION, output_tokens=0), side_usages=[side])
    assert costs is not None
    assert {model: usd(total_of(cost)) for model, cost in costs.items()} == {
        "claude-haiku-4-5": 1.0,
        "claude-sonnet-4-5": pytest.approx(0.3),
    }


def test_a_pass_without_a_model_is_the_responses_own() -> None:
    side = SideUsage(kind="compaction", model=None, input_tokens=MILLION, output_tokens=None)
    assert usd(total_of(parts(TokenCounts(input_tokens=MILLION), side_usages=[side]))) == 2.0


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
        total_of(parts(tokens, provider="deepseek", model="deepseek-chat", wall_ns=seconds * 1_000_000_000))
        for seconds in (1_748_786_400, 1_748_799_900, 1_795_300_000)
    }
    assert len(costs) > 1


def test_sums_of_costs_are_exact() -> None:
    sums = CostSums()
    for _ in range(3):
        add_priced(sums, {"a": CostParts(input=1, output=2), "b": CostParts(thinking=3)}, 10, "v")
    assert (total_of(sums.parts), sums.by_model, sums.priced_requests, sums.priced_tokens) == (
        18,
        {"a": 9, "b": 9},
        3,
        30,
    )


def test_the_price_table_is_imported_only_when_a_price_is_asked_for() -> None:
    code = "import sys, lunaroute.pricing; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
