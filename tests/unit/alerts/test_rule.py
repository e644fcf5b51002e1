"""Sentences become rules, and mistakes are one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from lunaroute.alerts.rule import Rule, read_rules
from lunaroute.config import AlertConfig
from lunaroute.errors import ConfigError


def rule(when: str, **more: Any) -> Rule:
    (found,) = read_rules({"mine": AlertConfig(when=when, **more)})
    return found


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("spend per day > 20", ("spend", 20.0, "day", 0.0, 0)),
        ("Spend  per session > $0.5", ("spend", 0.5, "session", 0.0, 0)),
        ("errors > 12.5% in 15m", ("errors", 0.125, None, 900.0, 0)),
        ("p95 latency > 30s in 1h", ("latency", 30.0, None, 3600.0, 95)),
        ("p50 ttft > 800ms in 30s", ("ttft", 0.8, None, 30.0, 50)),
        ("stall > 2m", ("stall", 120.0, None, 0.0, 0)),
        ("rate limit > 90%", ("rate limit", 0.9, None, 0.0, 0)),
    ],
)
def test_sentences(when: str, expected: tuple[Any, ...]) -> None:
    found = rule(when)
    assert (found.measure, found.limit, found.period, found.window_s, found.percent) == expected


def test_providers_are_known_where_the_filter_names_nothing_else() -> None:
    assert rule("spend per day > 1", filter="provider:anthropic,openai").providers == ("anthropic", "openai")
    assert rule("spend per day > 1").providers is None
    assert rule("spend per day > 1", filter="provider:anthropic model:opus").providers is None


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (AlertConfig(when="spend per week > 1"), "when = 'spend per week > 1' is no rule; write one of: spend per day"),
        (AlertConfig(when="errors > 5%"), "when = 'errors > 5%' is no rule"),
        (AlertConfig(when="stall > 9s", filter="modell:x"), "filter: 'modell' is no field of a filter; did you mean"),
        (AlertConfig(when="stall > 9s", filter="model:x"), "stall can only be limited to a provider"),
        (AlertConfig(when="stall > 9s", block=True), "a stall cannot block"),
        (AlertConfig(when="spend per day > 1", filter="model:x", block=True), "the relay can only block by provider"),
        (AlertConfig(when="spend per day > 1", filter="-provider:x", block=True), "the relay can only block by provid"),
        (AlertConfig(when="spend per day > 1", filter="since:1d"), "filter: the time is the rule's own"),
    ],
)
def test_a_mistake_is_one_line(config: AlertConfig, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_rules({"mine": config})
    assert str(caught.value).startswith(f"[alerts.mine]: {line}")
    assert "\n" not in str(caught.value)
