"""Turns out of a WebSocket's messages: in lanes, side by side, and those that the provider begins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.assemble.exchange import ExchangeEnded, RequestReceived
from lunaroute.assemble.wall_time import wall_ns_at
from tests.sockets import OWN_NS, SocketScript, answer_events, assembled, ended, t_ns
from tests.unit.assemble.socket_turns import lines, outcome_of, rests, turns

# ---- turns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [False, True])
def test_each_create_is_an_exchange_with_exact_bodies(deflate: bool) -> None:
    script = SocketScript(deflate=deflate)
    asked, told = [], []
    for turn in range(3):
        asked.append(script.create(f"question {turn}", at_ms=100 + 100 * turn))
        told.append(script.answer(f"resp_{turn}", f"answer {turn}", at_ms=150 + 100 * turn))
    script.end(from_client=True, at_ms=900)
    found = ended(assembled(script.records))
    assert [one.request_body for one in found] == asked
    assert [one.response_body for one in found] == [lines(one) for one in told]
    assert [len(one.response_chunks) for one in found] == [6, 6, 6]
    assert {outcome_of(one) for one in found} == {("completed", None)}
    assert len({one.request_id for one in found} | {script.request_id}) == 4
    parts = [one.socket for one in found]
    assert [(part.connection_id, part.index, part.is_turn) for part in parts if part] == [
        (script.request_id, index, True) for index in range(3)
    ]


def test_a_turn_is_handed_out_when_it_begins_and_when_it_ends_while_the_socket_stays_open() -> None:
    script = SocketScript()
    script.create("question", at_ms=100)
    asked = assembled(script.records)
    assert [type(item) for item in asked] == [RequestReceived]
    script.answer("resp_1", "answer", at_ms=150)
    assert [type(item) for item in assembled(script.records)] == [RequestReceived, ExchangeEnded]


def test_a_turn_has_times_and_overhead_of_its_own() -> None:
    script = SocketScript()
    script.create("first", at_ms=100)
    script.answer("resp_0", "x", at_ms=150)
    script.create("second", at_ms=1000)
    script.answer("resp_1", "y", at_ms=1100)
    second = turns(script)[1]
    assert second.opened.t_ns == second.request_ended_ns == t_ns(1000)
    assert wall_ns_at(second, t_ns(1000)) == second.opened.wall_ns
    assert second.response is not None
    assert second.response.t_ns == t_ns(1100)
    assert [at_ns for at_ns, _ in second.response_chunks] == [t_ns(1100 + n) for n in range(6)]
    closed = second.closed
    assert closed is not None
    assert closed.t_ns == t_ns(1105)
    assert closed.sent_ns == t_ns(1000) + OWN_NS
    assert closed.pre_processing_ns == OWN_NS
    assert closed.post_processing_ns == 5 * OWN_NS  # all but that of the last read, which is told with the next


def test_a_message_in_many_reads_begins_with_the_first_and_ends_with_the_last() -> None:
    script = SocketScript()
    payload = json.dumps({"type": "response.create", "input": "x" * 50_000}).encode()
    data = script.framed(payload, from_client=True)
    for number in range(5):
        script.raw(data[number * 11_000 : (number + 1) * 11_000], from_client=True, at_ms=100 + number)
    script.answer("resp_0", "x", at_ms=200)
    (turn,) = turns(script)
    assert turn.request_body == payload
    assert (turn.opened.t_ns, turn.request_ended_ns) == (t_ns(100), t_ns(104))
    closed = turn.closed
    assert closed is not None
    assert closed.sent_ns == t_ns(100)
    assert closed.pre_processing_ns == 5 * OWN_NS


def test_the_handshake_s_answer_belongs_to_the_first_turn() -> None:
    script = SocketScript()
    for number in range(2):
        script.create("q", at_ms=100 + 50 * number)
        script.answer(f"resp_{number}", "a", at_ms=120 + 50 * number)
    heads = [turn.response for turn in turns(script)]
    assert [head.status_code for head in heads if head] == [101, 101]
    assert [(b"x-request-id", b"req_ws") in head.headers for head in heads if head] == [True, False]


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed", "cancelled"])
def test_every_terminal_event_ends_the_turn(kind: str) -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    script.event({"type": f"response.{kind}", "response": {"id": "resp_1"}}, at_ms=110)
    assert [outcome_of(turn) for turn in turns(script)] == [("completed", None)]


def test_an_error_ends_the_turn_and_what_comes_after_it_for_that_response_is_no_other_s() -> None:
    script = SocketScript()
    script.create("first", at_ms=100)
    script.create("queued", at_ms=101)
    script.event({"type": "response.created", "response": {"id": "resp_1"}}, at_ms=110)
    script.event({"type": "error", "status": 429, "error": {"code": "rate_limit"}}, at_ms=120)
    script.event({"type": "response.failed", "response": {"id": "resp_1"}}, at_ms=121)
    script.answer("resp_2", "fine", at_ms=130)
    script.end(from_client=True, at_ms=200)
    first, second = turns(script)
    assert b"rate_limit" in first.response_body
    assert b"fine" in second.response_body
    assert b"resp_1" not in second.response_body
    (rest,) = rests(script)
    assert b"response.failed" in rest.response_body


# ---- lanes ------------------------------------------------------------------------------------------------------


def test_creates_of_one_lane_are_answered_in_order() -> None:
    script = SocketScript()
    asked = [script.create(f"q{number}", at_ms=100 + number) for number in range(3)]
    for number in range(3):
        script.answer(f"resp_{number}", f"a{number}", at_ms=200 + 10 * number)
    found = turns(script)
    assert [turn.request_body for turn in found] == asked
    assert [f"a{number}".encode() in turn.response_body for number, turn in enumerate(found)] == [True] * 3


def test_lanes_are_answered_side_by_side() -> None:
    script = SocketScript()
    lanes: list[dict[str, Any]] = [{"stream_id": "planner"}, {}, {"stream_id": "critic"}]
    for number, lane in enumerate(lanes):
        script.create(f"q{number}", at_ms=100 + number, **lane)
    events = [answer_events(f"resp_{number}", f"a{number}") for number in range(3)]
    for step in range(6):
        for number, lane in enumerate(lanes):
            script.event({**events[number][step], **lane}, at_ms=200 + 10 * step + number)
    found = sorted(turns(script), key=lambda turn: turn.opened.t_ns)
    for number, turn in enumerate(found):
        told = [json.loads(data) for _, data in turn.response_chunks]
        assert told == [{**event, **lanes[number]} for event in events[number]]
        assert turn.socket is not None
        assert turn.socket.stream_id == lanes[number].get("stream_id")


def test_an_error_of_one_lane_ends_that_one_only() -> None:
    script = SocketScript()
    script.create("a", at_ms=100, stream_id="a")
    script.create("b", at_ms=101, stream_id="b")
    script.event({"type": "error", "status": 400, "stream_id": "b", "error": {}}, at_ms=110)
    script.answer("resp_a", "fine", at_ms=120, stream_id="a")
    b, a = turns(script)
    assert b'"error"' in b.response_body
    assert b"fine" in a.response_body


def test_a_provider_that_does_not_repeat_the_lane_is_understood_where_there_is_no_doubt() -> None:
    script = SocketScript()
    script.create("a", at_ms=100, stream_id="a")
    script.answer("resp_a", "fine", at_ms=120)
    assert b"fine" in turns(script)[0].response_body


# ---- responses that the provider begins by itself ---------------------------------------------------------------


def steer(script: SocketScript, previous_id: str, text: str, at_ms: float) -> bytes:
    payload = json.dumps({"type": "response.steer", "previous_response_id": previous_id, "input": text}).encode()
    script.says(payload, from_client=True, at_ms=at_ms)
    return payload


def test_an_automatic_successor_is_a_turn_whose_request_steered() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    first = answer_events("resp_1", "a")
    for event in first[:3]:
        script.event(event, at_ms=110)
    payloads = [steer(script, "resp_1", "rather this", 120), steer(script, "resp_1", "and that", 121)]
    script.event({"type": "response.steer.accepted", "steer": {"id": "st_1"}}, at_ms=122)
    for event in first[3:]:
        script.event(event, at_ms=130)
    for number, event in enumerate(answer_events("resp_2", "steered", previous_id="resp_1")):
        script.event(event, at_ms=140 + number)
    script.end(from_client=True, at_ms=200)
    one, other = turns(script)
    assert b"steer.accepted" in one.response_body
    assert other.request_body == lines(payloads)
    assert b"steered" in other.response_body
    assert other.closed is not None
    assert other.closed.sent_ns == t_ns(140)
    assert rests(script) == []


def test_a_successor_comes_before_what_waits_in_its_lane() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    for event in answer_events("resp_1", "a")[:5]:
        script.event(event, at_ms=110)
    steer(script, "resp_1", "rather this", 120)
    waiting = script.create("waiting", at_ms=121)
    script.event(answer_events("resp_1", "a")[5], at_ms=125)
    for event in answer_events("resp_2", "steered", previous_id="resp_1"):
        script.event(event, at_ms=130)
    script.answer("resp_3", "late", at_ms=150)
    found = turns(script)
    assert b"rather this" in found[1].request_body
    assert b"steered" in found[1].response_body
    assert found[2].request_body == waiting
    assert b"late" in found[2].response_body


def test_steering_that_goes_with_the_next_create_is_kept_but_no_turn() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    script.answer("resp_1", "a", at_ms=110)
    steering = steer(script, "resp_1", "and this", 120)
    asked = script.create("tool result", at_ms=130, previous_response_id="resp_1")
    for event in answer_events("resp_2", "b", previous_id="resp_1"):
        script.event(event, at_ms=140)
    script.end(from_client=True, at_ms=200)
    assert [turn.request_body for turn in turns(script)][1:] == [asked]
    (rest,) = rests(script)
    assert rest.request_body == lines([steering])
