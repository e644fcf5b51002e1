"""Redaction in the pipeline: before everything that reads, remembers or writes, and closed when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from lunaroute.assemble.exchange import Assembled, ExchangeKey
from lunaroute.assemble.turn import read_said
from lunaroute.capture.records import RequestChunk
from lunaroute.events import Event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.recorder.journal import Checkpoint, Journal
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.redact.settings import RedactionSettings
from tests.secrets import EVERYTHING, SECRETS, leaked
from tests.sockets import SocketScript, assembled
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of

SETTINGS = PipelineSettings(redaction=RedactionSettings(key=b"k", patterns={"badge": r"\bEMP-\d{8}\b"}))
KEY = SECRETS["openai project key"][1]


def _run(pipeline: Pipeline, items: list[Assembled]) -> list[Event]:
    return [event for item in items for event in pipeline.feed(item)]


def _written(pipeline: Pipeline, events: list[Event]) -> bytes:
    """Everything that goes to disk from here: events, state, dead letters."""
    letters = msgspec.json.encode([poisoned.exchange for poisoned in pipeline.take_poisoned()])
    changes = pipeline.take_changes()
    return b"\n".join([*map(encode_event, events), *changes.put.values(), letters])


def test_nothing_of_an_exchange_is_written_or_remembered_as_it_was() -> None:
    pipeline = Pipeline(SETTINGS)
    events = _run(
        pipeline, both(exchange_of(1, anthropic_request(EVERYTHING), anthropic_response(EVERYTHING), at_ms=0))
    )
    assert leaked(_written(pipeline, events)) == {}
    assert all(event.redaction is not None for event in events if isinstance(event, RequestRecorded | ResponseRecorded))


def test_off_says_so_and_changes_nothing() -> None:
    body = anthropic_request(KEY)
    events = _run(Pipeline(PipelineSettings()), both(exchange_of(1, body, anthropic_response(KEY), at_ms=0)))
    [request] = [event for event in events if isinstance(event, RequestRecorded)]
    assert request.redaction is None
    assert request_bytes(request) == body


@pytest.mark.parametrize("step", ["request", "response"])
def test_what_redaction_stumbles_over_is_withheld_and_its_neighbours_are_not(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    pipeline = Pipeline(SETTINGS)

    def fail(*_: object) -> None:
        raise ValueError(f"cannot read {KEY}")

    monkeypatch.setattr(f"lunaroute.redact.exchange.ExchangeRedactor.{step}", fail)
    events = _run(pipeline, both(exchange_of(1, anthropic_request(KEY), anthropic_response(KEY), at_ms=0)))
    monkeypatch.undo()
    events += _run(pipeline, both(exchange_of(2, anthropic_request("fine"), anthropic_response("fine"), at_ms=500)))
    [said] = [event.redaction for event in events if event.request_id and isinstance(event, _KINDS[step])][:1]
    assert said is not None
    assert said.withheld == "redaction failed: ValueError"
    written = _written(pipeline, events)
    assert KEY.encode() not in written
    assert b"redaction failed" in written, "it is a dead letter too"
    assert b"fine" in written


_KINDS = {"request": RequestRecorded, "response": ResponseRecorded}


@pytest.mark.parametrize("deflate", [False, True])
def test_turns_of_a_websocket_are_redacted(deflate: bool) -> None:
    script = SocketScript(deflate=deflate)
    script.create(EVERYTHING, at_ms=100)
    script.answer("resp_1", EVERYTHING, at_ms=200)
    script.says(json.dumps({"type": "other", "note": EVERYTHING}).encode(), from_client=True, at_ms=700)
    script.create("again", at_ms=800, previous_response_id="resp_1")
    for at in range(0, 90, 6):
        piece = {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": KEY[at : at + 6]}
        script.event(piece, at_ms=810 + at)
    script.end(from_client=True, at_ms=1900)
    pipeline = Pipeline(SETTINGS)
    events = _run(pipeline, assembled(script.records))
    assert leaked(_written(pipeline, events)) == {}
    answers = [event for event in events if isinstance(event, ResponseRecorded)]
    said = "".join(
        json.loads(line).get("delta", "")
        for answer in answers
        for line in response_bytes(answer).splitlines()
        if read_said(line).type == "response.output_text.delta"
    )
    assert "[redacted:openai_key]" in said
    assert KEY[12:] not in said


def test_tool_calls_and_their_results_are_those_of_the_redacted_exchanges() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": f"echo {KEY}"}}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "content": [call]}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": f"is {KEY}"}
    again = {
        "model": "claude-x",
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
    }
    pipeline = Pipeline(SETTINGS)
    events = _run(pipeline, both(exchange_of(1, anthropic_request("go"), json.dumps(answer).encode(), at_ms=0)))
    events += _run(pipeline, both(exchange_of(2, json.dumps(again).encode(), anthropic_response("ok"), at_ms=500)))
    [tool] = [event for event in events if isinstance(event, ToolCallRecorded)]
    assert json.loads(tool.arguments) == {"command": "echo [redacted:openai_key]"}
    assert tool.output_text == "is [redacted:openai_key]"
    assert KEY.encode() not in _written(pipeline, events)


def test_a_redacted_pipeline_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    items = both(exchange_of(1, anthropic_request(EVERYTHING), anthropic_response(EVERYTHING), at_ms=0))
    items += both(exchange_of(2, anthropic_request(EVERYTHING), anthropic_response(KEY), at_ms=500))
    whole = [encode_event(event) for event in _run(Pipeline(SETTINGS), items)]
    for at in range(1, len(items)):
        first = Pipeline(SETTINGS)
        events = _run(first, items[:at])
        events += _run(Pipeline.restore(SETTINGS, first.take_changes().put), items[at:])
        assert [encode_event(event) for event in events] == whole


def test_what_the_journal_forgets_is_in_none_of_its_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", is_shredding=True)
    journal.begin([])
    key = ExchangeKey("w0", 1, 1)
    secret = b"journalled-secret" * 3000
    saved = [(key, 0, [RequestChunk(1, 1, secret, None)])]
    journal.commit(Checkpoint({}, "run", {}, {}, set(), saved, []))  # type: ignore[arg-type]
    assert b"journalled-secret" in _files(tmp_path)
    journal.commit(Checkpoint({}, "run", {}, {}, set(), [], [key]))
    assert b"journalled-secret" not in _files(tmp_path)
    journal.close()


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
