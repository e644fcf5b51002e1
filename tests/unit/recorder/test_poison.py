"""No exchange brings the pipeline down: what breaks a stage is recorded by its bytes."""

from __future__ import annotations

import pytest

from lunaroute.assemble.exchange import RunEnded
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    ResponseRecorded,
)
from lunaroute.recorder.pipeline import Pipeline
from tests.exchanges import ExchangeScript
from tests.support.broken_reader import break_readers
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream, both, exchange_of
from tests.unit.recorder.pipelines import (
    SETTINGS,
    agent_exchange,
    kinds,
    only,
    run,
    run_poisoned,
    wall_ns,
)


def test_a_request_that_breaks_a_stage_is_recorded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(SETTINGS)
    run(both(agent_exchange(1)), pipeline)
    break_readers(monkeypatch, "request")
    poison = exchange_of(2, anthropic_request("poison"), anthropic_response("y"), at_ms=300)
    events = run_poisoned(both(poison), pipeline)
    monkeypatch.undo()
    assert kinds(events) == ["RequestRecorded", "ResponseRecorded"]
    request, response = only(events, RequestRecorded), only(events, ResponseRecorded)
    assert (request.dialect, request.request_text) == ("unknown", "")
    assert request_bytes(request) == anthropic_request("poison")
    assert response_bytes(response) == anthropic_response("y")
    [poisoned] = pipeline.take_poisoned()
    assert poisoned.exchange is poison.exchange
    assert "RuntimeError: a bug" in poisoned.reason
    assert pipeline.take_poisoned() == []
    assert [event.seq for event in run(both(agent_exchange(3, 600)), pipeline)] == [5, 6]


def test_a_response_that_breaks_a_stage_is_recorded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    break_readers(monkeypatch, "response", error=ValueError("a bug"))
    pipeline = Pipeline(SETTINGS)
    script = exchange_of(1, anthropic_request("hi", stream=True), anthropic_stream("hello"), at_ms=0)
    events = run_poisoned([*both(script), RunEnded(wall_ns(300))], pipeline)
    response, completed = only(events, ResponseRecorded), only(events, Completed)
    assert response_bytes(response) == script.exchange.response_body
    assert response.stats.is_streaming
    assert response.stats.provider_latency_ms is not None
    assert completed.final_stats.request_count == 1
    assert [poison.reason for poison in pipeline.take_poisoned()] == ["response: ValueError: a bug"]


def test_an_end_without_its_beginning_is_still_recorded() -> None:
    events = run([agent_exchange(1).ended])
    assert kinds(events) == ["Started", "RequestRecorded", "ResponseRecorded"]


def test_a_request_cut_short_says_so() -> None:
    script = ExchangeScript(1, body=b'{"model":"cl', is_request_complete=False)
    script.close(at_ms=50, outcome="client_cancelled")
    request = only(run(both(script)), RequestRecorded)
    assert not request.is_body_complete
    assert request_bytes(request) == b'{"model":"cl'
