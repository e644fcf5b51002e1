"""A request that names an earlier response is shown with all that came before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from lunaroute.cli import cli
from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.query.history import whole_input
from lunaroute.query.raw import RecordedExchange
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.sockets import SocketScript, answer_events, recorded


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def output(response_id: str, text: str) -> list[Any]:
    found: list[Any] = answer_events(response_id, text)[-1]["response"]["output"]
    return found


def talk(number: int, first: int, last: int, opened_ms: int = 0) -> SocketScript:
    """Turns first..last of a conversation, on a socket of their own."""
    script = SocketScript(number, opened_ms=opened_ms)
    for turn in range(first, last + 1):
        fields = {"previous_response_id": f"resp_{turn - 1}"} if turn else {}
        script.create(f"question {turn}", at_ms=opened_ms + 1000 * turn + 100, **fields)
        script.answer(f"resp_{turn}", f"answer {turn}", at_ms=opened_ms + 1000 * turn + 200)
    script.end(from_client=True, at_ms=opened_ms + 1000 * last + 900)
    return script


def exchanges(events: list[Event]) -> list[RecordedExchange]:
    answers = {event.request_id: event for event in events if isinstance(event, ResponseRecorded)}
    asked = [event for event in events if isinstance(event, RequestRecorded)]
    return [RecordedExchange(request=one, response=answers.get(one.request_id)) for one in asked]


def by_response(found: list[RecordedExchange]) -> dict[str, RecordedExchange]:
    return {one.response.response_id or "": one for one in found if one.response is not None}


WHOLE = [user("question 0"), *output("resp_0", "answer 0"), user("question 1"), *output("resp_1", "answer 1")]


def test_the_whole_input_is_everything_on_the_way_back() -> None:
    found = exchanges(recorded(talk(1, 0, 2)))
    history = whole_input(found[2], by_response(found).get)
    assert history.items == [*WHOLE, user("question 2")]
    assert history.request_ids == [one.request.request_id for one in found]
    assert history.missing_response_id is None
    assert whole_input(found[0], by_response(found).get).items == [user("question 0")]


def test_a_fork_goes_back_its_own_way() -> None:
    script = talk(1, 0, 1)
    script.records.pop()  # go on
    fork = SocketScript(2, opened_ms=20_000)
    fork.create("another question", at_ms=20_100, previous_response_id="resp_0")
    fork.answer("resp_fork", "x", at_ms=20_200)
    found = exchanges(recorded(script, fork))
    history = whole_input(found[-1], by_response(found).get)
    assert history.items == [user("question 0"), *output("resp_0", "answer 0"), user("another question")]


def test_a_way_that_leaves_the_recording_says_where() -> None:
    found = exchanges(recorded(talk(1, 5, 6)))
    history = whole_input(found[1], by_response(found).get)
    assert history.items == [user("question 5"), *output("resp_5", "answer 5"), user("question 6")]
    assert history.missing_response_id == "resp_4"


def test_a_circle_is_not_walked_for_ever() -> None:
    script = SocketScript()
    script.create("q", at_ms=100, previous_response_id="resp_1")
    script.answer("resp_1", "a", at_ms=200)
    (only,) = exchanges(recorded(script))
    assert whole_input(only, by_response([only]).get).items == [user("q")]


def test_all_that_steered_is_part_of_the_input() -> None:
    script = SocketScript()
    script.create("q", at_ms=100)
    for event in answer_events("resp_1", "a"):
        if event["type"] == "response.completed":
            for number in range(2):
                steer = {"type": "response.steer", "previous_response_id": "resp_1", "input": f"steered {number}"}
                script.says(json.dumps(steer).encode(), from_client=True, at_ms=120 + number)
        script.event(event, at_ms=130)
    for event in answer_events("resp_2", "b", previous_id="resp_1"):
        script.event(event, at_ms=140)
    script.end(from_client=True, at_ms=200)
    found = exchanges(recorded(script))
    steered: list[Any] = [{"role": "user", "content": f"steered {number}"} for number in range(2)]
    history = whole_input(found[1], by_response(found).get)
    assert history.items == [user("q"), *output("resp_1", "a"), *steered]


def test_commands_show_what_a_turn_goes_on_from(tmp_path: Path) -> None:
    day_ms = 24 * 3600 * 1000
    early, late = talk(1, 0, 1), talk(2, 2, 3, opened_ms=day_ms)  # the second one is a session of its own
    events = recorded(early, late)
    sessions_dir = tmp_path / "sessions"
    for sink in (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)):
        sink.open()
        sink.write_batch(events)
        sink.close()
    found = exchanges(events)
    assert len({one.request.session_id for one in found}) == 2

    def run(*words: str) -> str:
        result = CliRunner().invoke(cli, ["sessions", *words], env={"LUNAROUTE_HOME": str(tmp_path), "COLUMNS": "140"})
        assert result.exit_code == 0, result.output
        return result.stdout

    history = json.loads(run("raw", found[-1].request.request_id, "--history"))
    assert history["items"][: len(WHOLE)] == WHOLE
    assert history["items"][-1] == user("question 3")
    assert (len(history["items"]), len(history["request_ids"]), history["missing_response_id"]) == (7, 4, None)
    shown = run("show", found[-1].request.session_id)
    assert "goes on from #1, 3 items in all" in shown
    turns = json.loads(run("show", found[0].request.session_id, "--json"))["turns"]
    assert [turn["goes_on_from"] for turn in turns] == [None, 1]
    assert [turn["whole_item_count"] for turn in turns] == [None, 3]
