"""The pipeline is deterministic, and goes on from what it gave out as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lunaroute.assemble.exchange import Assembled, RunEnded, RunStarted
from lunaroute.events import Event, encode_event
from lunaroute.recorder.pipeline import Pipeline
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream, both, exchange_of
from tests.unit.recorder.pipelines import (
    IDLE_MS,
    SETTINGS,
    agent_run,
    kinds,
    run,
    wall_ns,
)


def story() -> list[Assembled]:
    """Sessions of every kind, overlapping, with tool calls, failures, an idle end, a recovery and a shutdown."""
    items: list[Assembled] = [RunStarted("one", wall_ns(-10)), *agent_run()[:-1]]
    one = exchange_of(11, anthropic_request("x"), anthropic_response("y", calls=["toolu_9"]), at_ms=3000, session=None)
    two = exchange_of(12, anthropic_request("z", stream=True), anthropic_stream("w"), at_ms=3050, session="run-2")
    items += [one.received, two.received, one.ended, two.ended]
    items += both(
        exchange_of(
            13, anthropic_request("", results=[("toolu_9", "no")], errors=["toolu_9"]), b"{}", at_ms=4000, session=None
        )
    )
    items += both(exchange_of(14, b"\xff\xfe", b"<html>", at_ms=5000, status=502, session="run-2"))
    late = IDLE_MS + 4100
    open_late = exchange_of(15, anthropic_request("late"), anthropic_response("l"), at_ms=late, session="run-2")
    items += [open_late.received]
    items += both(exchange_of(16, anthropic_request("back"), anthropic_response("b"), at_ms=late + 10))
    items += [RunStarted("two", wall_ns(late + 300)), open_late.ended]
    items += both(exchange_of(17, anthropic_request("back"), anthropic_response("b"), at_ms=late + 400))
    return [*items, RunEnded(wall_ns(late + 1000))]


def lines(events: Sequence[Event]) -> list[bytes]:
    return [encode_event(event) for event in events]


def test_the_same_input_gives_the_same_events() -> None:
    assert lines(run(story())) == lines(run(story()))


def test_every_session_is_one_gapless_file_from_started_to_completed() -> None:
    sessions: dict[str, list[Event]] = {}
    for event in run(story()):
        sessions.setdefault(event.session_id, []).append(event)
    for events in sessions.values():
        assert [event.seq for event in events] == list(range(len(events)))
        assert kinds(events)[0] == "Started"
        assert kinds(events)[-1] == "Completed"
        assert kinds(events).count("Completed") == 1


@pytest.mark.parametrize("cut", range(len(story()) + 1))
def test_a_pipeline_restored_at_any_point_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    items = story()
    stored: dict[str, bytes] = {}
    pipeline = Pipeline(SETTINGS)
    before: list[Event] = []
    for item in items[:cut]:
        before += pipeline.feed(item)
        changes = pipeline.take_changes()
        stored.update(changes.put)
        for key in changes.deleted:
            stored.pop(key, None)
        assert not changes.put.keys() & changes.deleted
    after = run(items[cut:], Pipeline.restore(SETTINGS, stored))
    assert lines([*before, *after]) == lines(run(items))


def test_no_state_of_finished_sessions_stays_behind_but_how_to_continue_them() -> None:
    pipeline = Pipeline(SETTINGS)
    run(story(), pipeline)
    kept = {key.partition(":")[0] for key in pipeline.take_changes().put}
    assert kept == {"g", "c", "l", "a", "r"}
