"""How rules stand, on recordings whose numbers are chosen."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from lunaroute.alerts.readings import Reading, SessionName, readings
from lunaroute.events.totalling import add_event
from lunaroute.events.totals import RateLimit, Totals
from lunaroute.events.types import Identity, Started
from lunaroute.recorder.silence import SilentExchange
from lunaroute.supervisor.instance import RecorderInfo
from tests.builders import SessionScript

from .conftest import Home
from .test_rule import rule


def ask(home: Home, when: str, **more: str) -> list[Reading]:
    return readings(rule(when, **more), home.sources())


def at(home: Home, name: str, **ago: float) -> SessionScript:
    return SessionScript(name, home.now - timedelta(**ago))


def test_a_spend_is_that_of_its_period(home: Home) -> None:
    now = home.now
    home.add(
        at(home, "now", minutes=10).turn(cost_usd=1.0),
        at(home, "today", hours=11).turn(cost_usd=2.0),
        at(home, "yesterday", hours=13).turn(cost_usd=4.0),
        at(home, "last month", days=30).turn(cost_usd=8.0),
    )
    midnight = now.replace(hour=0)
    (hour,) = ask(home, "spend per hour > 0")
    assert (hour.value, hour.ends_at) == (0.0, now + timedelta(hours=1))
    (day,) = ask(home, "spend per day > 0")
    assert (day.value, day.ends_at) == (3.0, midnight + timedelta(days=1))
    (month,) = ask(home, "spend per month > 0")
    assert month.value == 7.0
    assert month.ends_at is not None
    assert month.ends_at.isoformat()[:16] == "2026-12-01T00:00"


def test_a_spend_is_that_of_its_filter(home: Home) -> None:
    home.add(SessionScript("a", home.now, provider="openai").turn(cost_usd=1.0), at(home, "b").turn(cost_usd=2.0))
    (found,) = ask(home, "spend per day > 0", filter="provider:openai")
    assert found.value == 1.0


def test_sessions_above_the_limit_are_named_as_the_relay_can_know_them(home: Home) -> None:
    scripts = [at(home, name, minutes=9).turn(cost_usd=2.0) for name in ("header", "tag", "body")]
    identities = (
        Identity(rule="client_header", evidence="x-claude-code-session-id=abc"),
        Identity(rule="session_tag", evidence="session_tag=night"),
        Identity(rule="body_field", evidence="prompt_cache_key=x"),
    )
    for script, identity in zip(scripts, identities, strict=True):
        started = script.events[0]
        assert isinstance(started, Started)
        script.events[0] = msgspec.structs.replace(started, identity=identity)
    cheap, old = at(home, "cheap").turn(cost_usd=1.0), at(home, "old", days=3).turn(cost_usd=9.0)
    home.add(*scripts, cheap, old)
    found = {one.subject: one for one in ask(home, "spend per session > 1.5")}
    assert set(found) == {script.session_id for script in scripts}
    names = [found[script.session_id].session for script in scripts]
    assert names == [
        SessionName(header=("x-claude-code-session-id", "abc")),
        SessionName(tag="night"),
        SessionName(),
    ]


def test_errors_are_a_share_of_enough_exchanges(home: Home) -> None:
    few = at(home, "few", minutes=5)
    for _ in range(9):
        few.turn(outcome="http_error")
    home.add(few)
    assert ask(home, "errors > 1% in 15m") == []
    more = at(home, "more", minutes=5)
    for _ in range(9):
        more.turn()
    home.add(more)
    (found,) = ask(home, "errors > 1% in 15m")
    assert found.value == 0.5
    assert ask(home, "errors > 1% in 1m") == []
    blocked = at(home, "blocked", minutes=5)
    for _ in range(30):
        blocked.turn(outcome="blocked")
    home.add(blocked)
    (found,) = ask(home, "errors > 1% in 15m")
    assert found.value == 0.5


def test_percentiles_are_in_seconds(home: Home) -> None:
    script = at(home, "a", minutes=5)
    for number in range(20):
        script.turn(latency_ms=1000 if number < 18 else 60_000)
    home.add(script)
    (p50,) = ask(home, "p50 latency > 1s in 15m")
    (p95,) = ask(home, "p95 latency > 1s in 15m")
    (ttft,) = ask(home, "p95 ttft > 1s in 15m")
    assert (p50.value, p95.value, ttft.value) == (
        pytest.approx(1, 0.02),
        pytest.approx(60, 0.02),
        pytest.approx(30, 0.02),
    )


def test_stalls_are_what_a_living_recorder_tells(home: Home) -> None:
    silent = [SilentExchange(request_id="r1", provider="openai", silence_s=70.0)]

    def found(age_s: float, **more: str) -> list[Reading]:
        told = RecorderInfo(updated_at=home.now.timestamp() - age_s, silent_exchanges=silent)
        return readings(rule("stall > 60s", **more), msgspec.structs.replace(home.sources(), recorder=told))

    assert found(1) == [Reading(subject="r1", value=70.0)]
    assert found(1, filter="provider:anthropic") == []
    assert found(60) == []


def test_limits_count_until_their_window_ends(home: Home) -> None:
    totals = Totals()
    for event in at(home, "a").turn().events:
        add_event(totals, event)
    (model,) = totals.models["anthropic"].values()
    soon = home.now.timestamp() + 60
    model.rate_limits = {"requests": RateLimit(0.95, soon), "tokens": RateLimit(0.99, soon - 61)}
    (found,) = readings(rule("rate limit > 90%"), home.sources(totals))
    assert (found.subject, found.value) == ("anthropic claude-sonnet-4-5 requests", 0.95)
    assert readings(rule("rate limit > 90%", filter="provider:openai"), home.sources(totals)) == []


def test_nothing_recorded_is_nothing_exceeded(home: Home) -> None:
    for when in ("spend per day > 1", "spend per session > 1", "errors > 1% in 1h", "p95 latency > 1s in 1h"):
        assert ask(home, when) == []
