"""WebSockets in the recorder: events turn by turn, prewarms, errors, grouping, and a state that stays small."""

from __future__ import annotations

import hashlib
import json
import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Assembled
from lunaroute.assemble.socket import SocketState
from lunaroute.capture.records import Record
from lunaroute.events import Event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started
from lunaroute.recorder import open_exchanges
from lunaroute.recorder.journal import Saved
from lunaroute.recorder.open_exchanges import OpenExchangeLog
from tests.sockets import STARTED, USAGE, SocketScript, answer_events, recorded


def requests(events: list[Event]) -> list[RequestRecorded]:
    return [event for event in events if isinstance(event, RequestRecorded)]


def responses(events: list[Event]) -> list[ResponseRecorded]:
    return [event for event in events if isinstance(event, ResponseRecorded)]


def talk() -> SocketScript:
    """A prewarm, and two turns that go on from it."""
    script = SocketScript(deflate=True)
    script.create("setup", at_ms=100, generate=False)
    script.event({"type": "response.created", "response": {"id": "resp_0"}}, at_ms=110)
    done = {"id": "resp_0", "model": "gpt-5-2026", "status": "completed", "output": [], "usage": USAGE}
    script.event({"type": "response.completed", "response": done}, at_ms=900)
    for turn in (1, 2):
        script.create(f"question {turn}", at_ms=1000 * turn, previous_response_id=f"resp_{turn - 1}")
        script.answer(f"resp_{turn}", f"answer {turn}", at_ms=1000 * turn + 50)
    return script


def test_turns_are_exchanges_of_the_responses_dialect() -> None:
    script = talk()
    script.end(from_client=True, at_ms=5000)
    events = recorded(script)
    assert len([event for event in events if isinstance(event, Started)]) == 1
    asked, told = requests(events), responses(events)
    assert [one.dialect for one in asked] == ["openai_responses"] * 3
    assert [one.request_text for one in asked] == ["", "question 1", "question 2"]
    assert [one.is_prewarm for one in asked] == [True, False, False]
    assert [one.is_streaming for one in asked] == [True] * 3
    assert [one.websocket and one.websocket.index for one in asked] == [0, 1, 2]
    assert {one.websocket and one.websocket.connection_id for one in asked} == {script.request_id}
    assert [one.response_text for one in told] == ["", "answer 1", "answer 2"]
    assert [one.response_id for one in told] == ["resp_0", "resp_1", "resp_2"]
    assert [(one.outcome, one.success, one.status_code) for one in told] == [("completed", True, 101)] * 3
    assert [one.model_used for one in told] == ["gpt-5-2026"] * 3
    assert [one.provider_request_id for one in told] == ["req_ws", None, None]
    assert json.loads(bytes(told[1].response_json))["output"][0]["content"][0]["text"] == "answer 1"
    (completed,) = [event for event in events if isinstance(event, Completed)]
    assert completed.final_stats.request_count == 3
    assert completed.final_stats.total_tokens.total == 3 * 14


def test_exact_bytes_come_back_and_their_hash_proves_them() -> None:
    script = SocketScript(deflate=True)
    asked = script.create("q", at_ms=100)
    told = b"".join(payload + b"\n" for payload in script.answer("resp_1", "ä€", at_ms=150))
    script.end(from_client=True, at_ms=200)
    events = recorded(script)
    (request,), (response,) = requests(events), responses(events)
    assert request_bytes(request) == asked == bytes(request.request_json)
    assert response_bytes(response) == told
    assert request.body_sha256 == hashlib.sha256(asked).hexdigest()
    assert response.body_sha256 == hashlib.sha256(told).hexdigest()
    assert response.response_body is not None
    chunks = response.response_body.chunks or []
    assert [offset for offset, _ in chunks] == pytest.approx([49.95 + number for number in range(6)])
    places = [sum(size for _, size in chunks[:number]) for number in range(7)]
    messages = [told[start:end] for start, end in pairwise(places)]
    assert all(message.endswith(b"\n") and json.loads(message)["type"] for message in messages)


def test_times_are_the_turn_s_own_and_a_prewarm_has_none() -> None:
    script = talk()
    script.end(from_client=True, at_ms=5000)
    prewarm, first, _ = (one.stats for one in responses(recorded(script)))
    assert (prewarm.provider_latency_ms, prewarm.time_to_first_byte_ms, prewarm.tokens.total_tokens) == (None, None, 14)
    assert prewarm.total_duration_ms == pytest.approx(800)
    assert first.provider_latency_ms == pytest.approx(54.95)
    assert first.time_to_first_byte_ms == pytest.approx(49.95)
    assert first.time_to_first_token_ms == pytest.approx(52.95)
    assert first.total_duration_ms == pytest.approx(55)
    assert first.streaming is not None
    assert (first.streaming.chunk_count, first.streaming.chunk_gap_max_ms) == (6, pytest.approx(1))
    (completed,) = [event for event in recorded(script) if isinstance(event, Completed)]
    assert completed.final_stats.performance.max_latency_ms == pytest.approx(54.95)


def test_an_error_event_has_the_status_inside() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    error = {"type": "rate_limit_error", "code": "slow_down", "message": "Slow down."}
    script.event({"type": "error", "status": 429, "error": error}, at_ms=120)
    script.end(from_client=True, at_ms=200)
    (told,) = responses(recorded(script))
    assert (told.outcome, told.success, told.status_code) == ("stream_error", False, 429)
    assert told.error is not None
    assert (told.error.type, told.error.message) == ("rate_limit_error", "Slow down.")
    assert told.stats.unknown_events == {}


@pytest.mark.parametrize(("from_client", "outcome"), [(True, "client_cancelled"), (False, "upstream_cut")])
def test_a_cut_turn_keeps_what_had_arrived(from_client: bool, outcome: str) -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    for event in answer_events("resp_1", "half of it")[:4]:
        script.event(event, at_ms=110)
    script.close_frame(1001, "going away", from_client=from_client, at_ms=150)
    script.end(from_client=from_client, at_ms=151)
    (told,) = responses(recorded(script))
    assert (told.outcome, told.success, told.response_text) == (outcome, False, "half of it")
    assert told.error is not None
    assert told.error.message is not None
    assert told.error.message.endswith("closed the WebSocket: 1001 going away")


def test_turns_without_headers_are_one_session_by_the_response_they_go_on_from() -> None:
    script = talk()
    script.event({"type": "codex.rate_limits"}, at_ms=4000)
    script.end(from_client=True, at_ms=5000)
    again = SocketScript(2, opened_ms=6000)  # another connection goes on from there
    again.create("question 3", at_ms=6100, previous_response_id="resp_2")
    again.answer("resp_3", "answer 3", at_ms=6200)
    events = recorded(script, again)
    assert len({event.session_id for event in events}) == 1
    assert [one.dialect for one in requests(events)] == [*["openai_responses"] * 3, "unknown", "openai_responses"]


def test_what_belongs_to_no_turn_is_an_exchange_without_latency() -> None:
    script = talk()
    script.event({"type": "codex.rate_limits"}, at_ms=4000)
    script.says(b"?", from_client=True, at_ms=4001)
    script.end(from_client=True, at_ms=5000)
    events = recorded(script)
    request, response = requests(events)[-1], responses(events)[-1]
    assert (request_bytes(request), response_bytes(response)) == (b"?\n", b'{"type": "codex.rate_limits"}\n')
    assert request.websocket is not None
    assert (request.websocket.is_turn, request.websocket.message_count) == (False, 1)
    assert request.request_body is not None
    assert [size for _, size in request.request_body.chunks or []] == [2]
    assert response.stats.provider_latency_ms is None
    assert (response.outcome, response.success) == ("completed", True)


def test_another_protocol_is_unknown_and_whole() -> None:
    script = SocketScript(path="/v1/realtime")
    script.create("q", at_ms=100)
    script.says(b"\x00\xff", from_client=False, at_ms=150)
    script.end(from_client=True, at_ms=5000)
    events = recorded(script)
    (request,), (response,) = requests(events), responses(events)
    assert (request.dialect, request.request_id) == ("unknown", script.request_id)
    assert response_bytes(response) == b"\x00\xff\n"
    assert response.stats.tokens.total_tokens is None


# ---- saving -----------------------------------------------------------------------------------------------------

SavedParts = dict[Any, list[list[Saved]]]
_codec = msgspec.msgpack.Decoder(list[Saved])


def save(log: OpenExchangeLog, source: Assembler, saved: SavedParts) -> None:
    """What the journal does, bytes and all."""
    new, gone = log.changes(source)
    for key in gone:
        del saved[key]
    for key, part, records in new:
        parts = saved.setdefault(key, [])
        assert part == len(parts)
        parts.append(_codec.decode(msgspec.msgpack.encode(records)))


def rebuilt(saved: SavedParts) -> Assembler:
    made = Assembler()
    made.restore_lane("w0", STARTED, True)
    for key, parts in saved.items():
        for record in (record for part in parts for record in part):
            if isinstance(record, SocketState):
                made.restore_socket(key.lane, record)
            else:
                made.feed(key.lane, record)
    return made


def at_once(item: Assembled) -> tuple[str, bytes]:
    """What it says now; its exchange goes on growing."""
    return type(item).__name__, msgspec.msgpack.encode(item)


def long_talk(turns: int) -> list[Record]:
    one, other = SocketScript(1, deflate=True), SocketScript(2, path="/v1/realtime", deflate=True)
    for turn in range(turns):
        one.create(f"question {turn} " * 30, at_ms=1000 * turn + 100)
        other.says(b"audio %d" % turn * 50, from_client=turn % 2 == 0, at_ms=1000 * turn + 101)
        one.answer(f"resp_{turn}", f"answer {turn} " * 40, at_ms=1000 * turn + 200)
        one.event({"type": "codex.rate_limits"}, at_ms=1000 * turn + 300)
    one.create("cut", at_ms=1000 * turns)
    one.event(answer_events("resp_cut", "x")[0], at_ms=1000 * turns + 10)
    one.end(from_client=False, at_ms=1000 * turns + 500)
    other.end(from_client=True, at_ms=1000 * turns + 600)
    return sorted([*one.records, *other.records], key=lambda record: record.t_ns)


@pytest.mark.parametrize("slack_bytes", [-(10**9), 500, 10**9])
@pytest.mark.parametrize("seed", range(4))
def test_a_recorder_restarted_at_any_moment_goes_on_exactly(
    seed: int, slack_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_exchanges, "_SOCKET_SLACK_BYTES", slack_bytes)
    chance = random.Random(seed)
    records = long_talk(12)
    whole = Assembler()
    expected = [at_once(item) for record in [STARTED, *records] for item in whole.feed("w0", record)][1:]
    source, log, saved = Assembler(), OpenExchangeLog(), SavedParts()
    source.feed("w0", STARTED)
    found: list[tuple[str, bytes]] = []
    restarts = 0
    for record in records:
        found += [at_once(item) for item in source.feed("w0", record)]
        if chance.random() < 0.3:
            save(log, source, saved)
            if chance.random() < 0.5:
                restarts += 1
                source = rebuilt(saved)
                log = OpenExchangeLog()
                log.restored(source, {key: len(parts) for key, parts in saved.items()})
    assert restarts > 5
    assert found == expected
    save(log, source, saved)
    assert saved == {}


def test_what_is_saved_of_an_open_socket_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_exchanges, "_SOCKET_SLACK_BYTES", 20_000)
    script = SocketScript(deflate=False)
    source, log, saved = Assembler(), OpenExchangeLog(), SavedParts()
    source.feed("w0", STARTED)
    sizes = []
    for turn in range(100):
        before = len(script.records) if turn else 0
        script.create("question " * 100, at_ms=1000 * turn + 100)
        script.answer(f"resp_{turn}", "answer " * 100, at_ms=1000 * turn + 200)
        for record in script.records[before:]:
            source.feed("w0", record)
        save(log, source, saved)
        sizes.append(len(msgspec.msgpack.encode(list(saved.values()))))
    assert max(sizes) < 40_000
    assert max(sizes[50:]) <= max(sizes[:50])
    anything = source.socket(next(iter(saved)))
    assert anything is not None
    assert anything.size_bytes < 1000
