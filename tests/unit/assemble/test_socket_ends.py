"""A WebSocket's end in the middle of what was said, and what belongs to no turn."""

from __future__ import annotations

import pytest

from lunaroute.assemble.exchange import ExchangeEnded, RequestReceived
from lunaroute.assemble.socket import MAX_REST_BYTES
from lunaroute.capture.records import Outcome, ResponseOpened
from tests.exchanges import MS
from tests.sockets import SocketScript, answer_events, assembled, ended, received, t_ns
from tests.support.frames import BINARY, PING, frame
from tests.unit.assemble.socket_turns import lines, outcome_of, rests, turns

# ---- ends -------------------------------------------------------------------------------------------------------


def cut_script() -> SocketScript:
    script = SocketScript()
    script.create("q", at_ms=100)
    for event in answer_events("resp_1", "half of it")[:4]:
        script.event(event, at_ms=110)
    return script


def test_a_connection_that_ends_after_the_terminal_event_cuts_nothing() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    script.answer("resp_1", "a", at_ms=110)
    script.end(from_client=True, at_ms=120)
    assert [outcome_of(one) for one in ended(assembled(script.records))] == [("completed", None)]


@pytest.mark.parametrize(("from_client", "outcome"), [(True, "client_cancelled"), (False, "upstream_cut")])
def test_who_closes_in_the_middle_of_a_turn_has_cut_it(from_client: bool, outcome: str) -> None:
    script = cut_script()
    script.end(from_client=from_client, at_ms=200)
    (turn,) = turns(script)
    side = "client" if from_client else "provider"
    assert outcome_of(turn) == (outcome, f"the {side} closed the WebSocket")
    assert b"half of it" in turn.response_body
    assert rests(script) == []


def test_a_close_frame_says_who_and_why() -> None:
    script = cut_script()
    script.close_frame(1011, "overloaded", from_client=False, at_ms=150)
    script.close_frame(1011, from_client=True, at_ms=151)
    script.end(from_client=True, at_ms=200)
    assert outcome_of(turns(script)[0]) == ("upstream_cut", "the provider closed the WebSocket: 1011 overloaded")


@pytest.mark.parametrize("outcome", ["client_cancelled", "upstream_cut", "interrupted"])
def test_a_broken_connection_ends_its_turns_as_it_ended(outcome: Outcome) -> None:
    script = cut_script()
    script.create("waiting", at_ms=150)
    script.close(at_ms=200, outcome=outcome, detail="so it was")
    assert [outcome_of(turn) for turn in turns(script)] == [(outcome, "so it was")] * 2
    answered, waiting = turns(script)
    assert answered.response is not None
    assert waiting.response is None


def test_the_beginning_of_a_message_belongs_to_the_turn_that_was_cut() -> None:
    script = cut_script()
    data = script.framed(b'{"type":"response.output_text.delta","delta":"and half a delta"}', from_client=False)
    script.raw(data[:40], from_client=False, at_ms=190)
    script.end(from_client=False, at_ms=200)
    (turn,) = turns(script)
    assert turn.response_chunks[-1] == (t_ns(200), data[2:40])
    assert rests(script) == []


def test_an_answer_may_still_arrive_after_the_client_has_ended_its_sending() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    script.raw(b"", from_client=True, at_ms=105)
    script.answer("resp_1", "a", at_ms=110)
    script.raw(b"", from_client=False, at_ms=120)
    script.close(at_ms=121)
    assert [outcome_of(one) for one in ended(assembled(script.records))] == [("completed", None)]


# ---- what belongs to no turn ------------------------------------------------------------------------------------


def test_messages_outside_of_turns_are_kept_as_an_exchange_of_their_own() -> None:
    script = SocketScript()
    script.event({"type": "hello"}, at_ms=50)
    script.create("q", at_ms=100)
    script.answer("resp_1", "a", at_ms=110)
    script.event({"type": "codex.rate_limits"}, at_ms=150)
    script.says(b"not JSON", from_client=True, at_ms=160)
    script.says(b"\x00\x01", from_client=True, at_ms=161, opcode=BINARY)
    script.raw(frame(PING, b"?"), from_client=False, at_ms=170)
    script.end(from_client=True, at_ms=200)
    (rest,) = rests(script)
    assert rest.request_body == b"not JSON\n\x00\x01\n"
    assert rest.response_body == b'{"type": "hello"}\n{"type": "codex.rate_limits"}\n'
    assert rest.socket is not None
    assert (rest.socket.connection_id, rest.socket.index) == (script.request_id, 1)
    assert rest.socket.request_ns == [t_ns(160), t_ns(161)]
    assert rest.socket.after_response_id == "resp_1"
    closed = rest.closed
    assert closed is not None
    assert (closed.sent_ns, closed.pre_processing_ns, closed.post_processing_ns) == (None, 0, 0)


def test_another_protocol_is_one_exchange() -> None:
    script = SocketScript(path="/v1/realtime")
    script.event({"type": "session.created"}, at_ms=50)
    asked = script.create("q", at_ms=100)
    told = script.answer("resp_1", "a", at_ms=110)
    script.end(from_client=True, at_ms=200)
    (only,) = ended(assembled(script.records))
    assert only.request_id == script.request_id
    assert only.request_body == lines([asked])
    assert only.response_body == b'{"type": "session.created"}\n' + lines(told)
    assert only.opened.t_ns == t_ns(0)
    assert only.closed is not None
    assert only.closed.pre_processing_ns > 0


def test_a_socket_on_which_nothing_is_said_is_on_record() -> None:
    script = SocketScript()
    script.end(from_client=True, at_ms=200)
    (only,) = ended(assembled(script.records))
    assert (only.request_id, only.request_body, only.response_body) == (script.request_id, b"", b"")
    assert [one.request_id for one in received(assembled(script.records))] == [script.request_id]


def test_a_long_conversation_of_another_protocol_is_recorded_in_parts() -> None:
    script = SocketScript(path="/v1/realtime")
    block = b"a" * (1 << 20)
    for number in range(40):
        script.says(block, from_client=number % 2 == 0, at_ms=100 + number)
    script.end(from_client=True, at_ms=200)
    found = ended(assembled(script.records))
    assert [one.socket.index for one in found if one.socket] == [0, 1, 2]
    assert len({one.request_id for one in found}) == 3
    assert all(len(one.request_body) + len(one.response_body) < MAX_REST_BYTES + 2 * len(block) for one in found)
    assert b"".join(one.request_body for one in found) == (block + b"\n") * 20


def test_bytes_that_are_no_websocket_are_kept_as_they_came() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    script.raw(b"\xff\xff not a frame", from_client=False, at_ms=110)
    script.raw(b" and more", from_client=False, at_ms=120)
    script.end(from_client=False, at_ms=200)
    (rest,) = rests(script)
    assert rest.response_body == b"\xff\xff not a frame and more"
    assert outcome_of(turns(script)[0])[0] == "upstream_cut"


def test_answers_to_requests_that_could_not_be_read_are_turns_all_the_same() -> None:
    script = SocketScript()
    script.raw(b"\xff\xff not a frame", from_client=True, at_ms=100)
    script.answer("resp_1", "a", at_ms=110)
    (turn,) = turns(script)
    assert (turn.request_body, turn.is_request_complete) == (b"", True)
    assert b"resp_1" in turn.response_body


# ---- the handshake ----------------------------------------------------------------------------------------------


def test_a_refused_handshake_is_an_ordinary_exchange_when_it_ends() -> None:
    script = SocketScript()
    answer = script.records[2]
    assert isinstance(answer, ResponseOpened)
    script.records[2] = ResponseOpened(1, answer.t_ns, 401, "Unauthorized", b"")
    assert assembled(script.records) == []
    script.close(at_ms=20)
    items = assembled(script.records)
    assert [type(item) for item in items] == [RequestReceived, ExchangeEnded]
    (only,) = ended(items)
    assert only.socket is None
    assert only.closed is not None
    assert only.closed.t_ns == t_ns(20)
    assert only.opened.t_ns == t_ns(0) == t_ns(20) - 20 * MS
