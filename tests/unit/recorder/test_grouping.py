"""The pipeline's sessions: which exchanges are one, what begins, ends and interrupts them."""

from __future__ import annotations

import msgspec

from lunaroute.assemble.exchange import RecordingGap, RunEnded, RunStarted
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    Started,
    StatsSnapshot,
)
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of
from tests.unit.recorder.pipelines import (
    IDLE_MS,
    SETTINGS,
    agent_exchange,
    kinds,
    only,
    run,
    wall_ns,
)


def test_an_idle_session_completes_before_the_exchange_that_notices_it() -> None:
    late_ms = 2 * IDLE_MS
    first = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0)
    second = exchange_of(2, anthropic_request("c"), anthropic_response("d"), at_ms=late_ms)
    events = run([*both(first), *both(second)])
    assert kinds(events)[3:5] == ["Completed", "Started"]
    completed = only(events, Completed)
    starts = [event for event in events if isinstance(event, Started)]
    assert completed.reason == "idle"
    assert completed.timestamp == "2026-11-21T22:56:40.200000Z"
    assert [start.continues for start in starts] == [None, starts[0].session_id]
    assert [start.conversation_id for start in starts] == ["run-1", "run-1"]


def test_an_agent_without_session_signal_is_followed_by_its_tool_calls() -> None:
    first = exchange_of(1, anthropic_request("a"), anthropic_response("b", calls=["toolu_1"]), at_ms=0, session=None)
    second = exchange_of(
        2, anthropic_request("", results=[("toolu_1", "out")]), anthropic_response("d"), at_ms=1000, session=None
    )
    stranger = exchange_of(3, anthropic_request("x"), anthropic_response("y"), at_ms=2000, session=None)
    events = run([*both(first), *both(second), *both(stranger)])
    starts = [event for event in events if isinstance(event, Started)]
    assert [start.identity.rule for start in starts] == ["new", "new"]
    assert starts[0].conversation_id == starts[0].session_id
    assert sum(event.session_id == starts[0].session_id for event in events) == 6


def test_the_same_session_id_under_another_credential_is_another_session() -> None:
    ours = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0, credential="one")
    theirs = exchange_of(2, anthropic_request("a"), anthropic_response("b"), at_ms=500, credential="two")
    assert kinds(run([*both(ours), *both(theirs)])).count("Started") == 2


def test_the_same_session_id_of_another_tenant_is_another_session_and_both_say_whose_they_are() -> None:
    ours = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0, tenant="one")
    theirs = exchange_of(2, anthropic_request("a"), anthropic_response("b"), at_ms=500, tenant="two")
    settings = msgspec.structs.replace(SETTINGS, node="pod-1")
    events = run([*both(ours), *both(theirs)], Pipeline(settings))
    starts = [event for event in events if isinstance(event, Started)]
    assert [(start.tenant, start.node) for start in starts] == [("one", "pod-1"), ("two", "pod-1")]
    assert [event.tenant for event in events if isinstance(event, RequestRecorded)] == ["one", "two"]


def test_overlapping_exchanges_of_a_session_keep_it_open_and_its_seq_gapless() -> None:
    one = exchange_of(1, anthropic_request("a"), anthropic_response("b"), at_ms=0)
    two = exchange_of(2, anthropic_request("c"), anthropic_response("d"), at_ms=50)
    events = run([one.received, two.received, two.ended, one.ended, RunEnded(wall_ns(400))])
    assert [event.seq for event in events] == list(range(6))
    assert only(events, Completed).final_stats.request_count == 2


def test_what_a_killed_run_left_open_is_recovered_by_the_next() -> None:
    pipeline = Pipeline(SETTINGS)
    run([RunStarted("one", wall_ns(-10)), *both(agent_exchange(1))], pipeline)
    [completed] = pipeline.feed(RunStarted("two", wall_ns(60_000)))
    assert isinstance(completed, Completed)
    assert completed.reason == "recovered"


def test_a_session_can_be_ended_by_hand() -> None:
    pipeline = Pipeline(SETTINGS)
    events = run(both(agent_exchange(1)), pipeline)
    [completed] = pipeline.end_session(events[0].session_id, wall_ns(999))
    assert isinstance(completed, Completed)
    assert completed.reason == "ended"
    assert pipeline.end_session(events[0].session_id, wall_ns(1000)) == []


def test_long_sessions_get_snapshots_by_count_and_by_time() -> None:
    pipeline = Pipeline(PipelineSettings(snapshot_every_exchanges=3, snapshot_every_ns=60_000 * MS))
    counted = run([item for n in range(7) for item in both(agent_exchange(n, n * 1000))], pipeline)
    snapshots = [event.stats.request_count for event in counted if isinstance(event, StatsSnapshot)]
    assert snapshots == [3, 6]
    timed = only(run(both(agent_exchange(8, 70_000)), pipeline), StatsSnapshot)
    assert (timed.stats.request_count, timed.stats.total_input_tokens) == (8, 80)


def test_a_gap_in_the_recording_is_no_event_of_a_session() -> None:
    pipeline = Pipeline(SETTINGS)
    run(both(agent_exchange(1)), pipeline)
    assert pipeline.feed(RecordingGap(wall_ns(300), wall_ns(400), 5, "disk full")) == []
    assert kinds(pipeline.feed(RecordingGap(wall_ns(0), wall_ns(2 * IDLE_MS), 5, "disk full"))) == ["Completed"]
