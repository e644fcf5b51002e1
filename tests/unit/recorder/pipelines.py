"""What the pipeline's tests share: items fed to one, and its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import Event
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_WALL_NS, ExchangeScript
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of

SETTINGS = PipelineSettings()
IDLE_MS = SETTINGS.idle_timeout_ns // MS
E = TypeVar("E")


def wall_ns(at_ms: int) -> int:
    return START_WALL_NS + at_ms * MS


def run(items: Sequence[Assembled], pipeline: Pipeline | None = None) -> list[Event]:
    """The events of these items, none of which breaks a stage."""
    pipeline = pipeline or Pipeline(SETTINGS)
    events = [event for item in items for event in pipeline.feed(item)]
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    return events


def run_poisoned(items: Sequence[Assembled], pipeline: Pipeline) -> list[Event]:
    return [event for item in items for event in pipeline.feed(item)]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def only(events: Sequence[Event], kind: type[E]) -> E:
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def agent_run() -> list[Assembled]:
    """Two turns of one agent: a tool call, its result; then the server stops."""
    first = exchange_of(
        1, anthropic_request("list files"), anthropic_response("sure", calls=["toolu_1"], input_tokens=100), at_ms=0
    )
    second = exchange_of(
        2,
        anthropic_request("", results=[("toolu_1", "a.txt")]),
        anthropic_response("there is a.txt", input_tokens=200, output_tokens=7, response_id="msg_2"),
        at_ms=1000,
    )
    return [*both(first), *both(second), RunEnded(wall_ns(2000))]


def agent_exchange(number: int, at_ms: int = 0) -> ExchangeScript:
    return exchange_of(number, anthropic_request("a"), anthropic_response("b"), at_ms=at_ms)
