"""The wall clock may jump, at any moment and either way: nothing is lost, and durations do not notice."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import decode_event
from lunaroute.events.types import ResponseRecorded
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from lunaroute.verify.check import verify
from tests.exchanges import START_WALL_NS
from tests.repriced import record
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of

S = 1_000_000_000
_JUMPS = st.lists(st.sampled_from([0, 0, -86_400 * S, -3 * S, 3 * S, 3_600 * S, 86_400 * S]), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(_JUMPS)
def test_a_clock_that_jumps_loses_nothing(jumps: list[int]) -> None:
    wall_ns = START_WALL_NS
    items: list[Assembled] = []
    for number, jump_ns in enumerate(jumps):
        wall_ns += jump_ns + S
        script = exchange_of(
            number,
            anthropic_request(f"question {number}"),
            anthropic_response("ok", calls=[f"toolu_{number}"]),
            at_ms=number * 1000,
            session=("a", "b")[number % 2],
        )
        script.exchange.opened = msgspec.structs.replace(script.exchange.opened, wall_ns=wall_ns)
        items += both(script)
    items.append(RunEnded(wall_ns + S))
    with tempfile.TemporaryDirectory() as folder:
        sessions_dir = Path(folder) / "sessions"
        record(sessions_dir, items, {})
        assert verify(sessions_dir, sessions_dir / "sessions.db", Path(folder) / "lock").problems == []
        lines = [line for _, path in session_files(sessions_dir) for line in read_lines(path)]
    responses = [event for event in map(decode_event, lines) if isinstance(event, ResponseRecorded)]
    assert len(responses) == len(jumps)
    for response in responses:
        assert response.stats.provider_latency_ms == pytest.approx(100.0)
        assert response.stats.total_duration_ms == pytest.approx(200.0)
