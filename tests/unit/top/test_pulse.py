"""Rates of the screen: what streams counts as it comes, what it cost in the end is what counts."""

from __future__ import annotations

import pytest

from lunaroute.live.wire import Delta, InFlight, Update
from lunaroute.top.pulse import Pulse


def _flight(output_tokens: int, cost_usd: float | None, text: str = "") -> InFlight:
    return InFlight(
        request_id="r1",
        session_id="s1",
        provider="anthropic",
        started_at="2026-11-22T10:00:00.000000Z",
        output_tokens=output_tokens,
        cost_usd=cost_usd,
        deltas=[Delta(key="0", kind="text", text=text)] if text else [],
    )


def test_tokens_are_those_of_the_last_seconds() -> None:
    pulse = Pulse()
    pulse.take(Update(exchanges=[_flight(5000, None)]), 100.0)
    assert pulse.figures(100.0).tokens_per_second == 0  # they came before anybody watched
    pulse.take(Update(exchanges=[_flight(5100, None)]), 101.0)
    pulse.take(Update(exchanges=[_flight(5400, None)]), 103.0)
    assert pulse.figures(103.0).tokens_per_second == 80
    assert pulse.figures(107.0).tokens_per_second == 60
    assert pulse.figures(120.0).tokens_per_second == 0


def test_spend_is_what_responses_cost_in_the_end() -> None:
    pulse = Pulse()
    pulse.take(Update(exchanges=[_flight(10, 0.25)]), 0.0)
    pulse.take(Update(exchanges=[_flight(20, 0.5)]), 1.0)
    assert pulse.figures(1.0).usd_per_hour == pytest.approx(30)
    pulse.take(Update(ended=["r1"]), 2.0)
    pulse.recorded("r1", 1.0, True, 2.0)
    pulse.recorded("r2", 0.5, False, 2.0)
    pulse.recorded("r3", None, True, 2.0)
    figures = pulse.figures(2.0)
    assert figures.usd_per_hour == pytest.approx(90)
    assert (figures.in_flight, figures.errors) == (0, 1)
    later = pulse.figures(400.0)
    assert (later.usd_per_hour, later.errors) == (0, 0)


def test_text_grows_and_goes() -> None:
    pulse = Pulse()
    pulse.take(Update(exchanges=[_flight(1, None, "hel")]), 0.0)
    pulse.take(Update(exchanges=[_flight(2, None, "lo")]), 0.0)
    assert pulse.texts["r1"] == "hello"
    pulse.take(None, 1.0)
    assert pulse.figures(1.0).in_flight == 0
    assert pulse.texts == {}
