"""Totals are the sums of what was recorded, and few names."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from lunaroute.events import Event
from lunaroute.events import totals as module
from lunaroute.events.totalling import add_event
from lunaroute.events.totals import LONG_S, OpenedExchange, Totals
from tests.builders import Call, SessionScript, tokens


def added(events: Sequence[Event], totals: Totals | None = None) -> Totals:
    totals = totals or Totals()
    for event in events:
        add_event(totals, event)
    return totals


def test_every_number_of_a_session_is_in_the_sums() -> None:
    read = Call("Read", "call_1")
    script = SessionScript("a", model="m").turn(
        "x", tokens=tokens(100, 20, 5, cache_read_tokens=60, cache_creation_tokens=10), cost_usd=0.25, calls=[read]
    )
    script.result(read, success=False, execution_ms=1500).turn("y", latency_ms=90_000, overhead_ms=3, cost_usd=None)
    script.turn("z", outcome="upstream_cut", cost_usd=0.5).complete()
    found = added(script.events)
    of_model = found.models["anthropic"]["m"]
    assert of_model.outcomes == {"completed": 2, "upstream_cut": 1}
    sums = (of_model.input_tokens, of_model.output_tokens, of_model.thinking_tokens)
    assert sums == (100, 20, 5)
    assert (of_model.cache_read_tokens, of_model.cache_creation_tokens) == (60, 10)
    assert (of_model.cost_picodollars, of_model.unpriced_exchanges) == (750_000_000_000, 1)
    assert (of_model.request_bytes, of_model.response_bytes) == (3 * len(b'{"messages":[]}'), 3 * 1234)
    # 0.1 s twice, and 90 s, above 81.92.
    assert of_model.duration.counts[LONG_S.index(0.16)] == 2
    assert of_model.duration.counts[LONG_S.index(163.84)] == 1
    assert of_model.duration.sum == pytest.approx(90.2)
    assert sum(of_model.ttft.counts) == 3
    assert sum(found.overhead.counts) == 3
    tool = found.tools["Read"]
    assert (tool.calls, tool.results, tool.errors, tool.execution.sum) == (1, 1, 1, 1.5)
    assert (of_model.input_sizes.sum, of_model.output_sizes.sum, sum(of_model.ttfb.counts)) == (100, 20, 3)
    assert (found.sessions_started, found.sessions_completed, found.open_exchanges) == (1, {"ended": 1}, {})


def test_a_value_on_a_bound_is_in_its_bucket() -> None:
    found = added(SessionScript("a", model="m").turn(latency_ms=10.0).events).models["anthropic"]["m"]
    assert found.duration.counts[0] == 1


def test_an_open_exchange_is_known_over_a_restart() -> None:
    script = SessionScript("a", model="m", provider="openai").ask("x")
    stored = msgspec.msgpack.encode(added(script.events))
    restored = msgspec.msgpack.decode(stored, type=Totals)
    assert list(restored.open_exchanges.values()) == [OpenedExchange("openai", "m")]
    script.answer("y")
    assert added(script.events[2:], restored).models["openai"]["m"].outcomes == {"completed": 1}


def test_names_that_clients_choose_are_limited() -> None:
    totals = Totals()
    for number in range(module.MOST_MODELS + 50):
        call = Call(f"tool-{number}", f"call_{number}")
        added(SessionScript(f"s{number}", model=f"model-{number}").turn(calls=[call]).events, totals)
    names = totals.models["anthropic"]
    assert len(names) == module.MOST_MODELS + 1
    assert names["other"].outcomes == {"completed": 50}
    assert len(totals.tools) == module.MOST_TOOLS + 1
    assert totals.tools["other"].calls == 50
