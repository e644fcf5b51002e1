"""Streams: what is said in pieces is found, events stay events, and each read keeps its time and its place."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest

from lunaroute.assemble.aws_events import AwsEventParser
from lunaroute.redact.body import Edit, Redactor, moved
from lunaroute.redact.framed import redact_frames
from lunaroute.redact.settings import RedactionSettings
from tests.aws_frames import aws_frame
from tests.secrets import SECRETS, sse

REDACTOR = Redactor(RedactionSettings(key=b"k"))
KEY = SECRETS["anthropic key"][1]
SAID = f'he said "{KEY}" é\n'
SHOWN = 'he said "[redacted:anthropic_key]" é\n'


def _events(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


def _anthropic(*texts: str) -> bytes:
    return sse([{"type": "content_block_delta", "index": 0, "delta": {"text": text}} for text in texts], named=True)


def test_a_secret_split_anywhere_between_two_events_is_found() -> None:
    for at in range(len(SAID) + 1):
        edited = REDACTOR.stream(_anthropic(SAID[:at], SAID[at:]))
        assert "".join(event["delta"]["text"] for event in _events(edited.data)) == SHOWN
        assert dict(edited.counts) == {"anthropic_key": 1}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 60])
def test_a_secret_in_many_pieces_is_found_whatever_escapes_its_pieces_have(size: int) -> None:
    arguments = json.dumps({"command": SAID, "mail": "bob@example.com"}).replace("@", "\\u0040")
    texts = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    edited = REDACTOR.stream(_anthropic(*texts))
    said = "".join(event["delta"]["text"] for event in _events(edited.data))
    assert json.loads(said) == {"command": SHOWN, "mail": "[redacted:email]"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_of_the_three_ways(end: bytes) -> None:
    body = _anthropic(KEY[:20], KEY[20:]).replace(b"\n", end)
    edited = REDACTOR.stream(body)
    assert KEY[20:].encode() not in edited.data
    assert edited.data.count(end) == body.count(end)


def test_texts_that_take_turns_are_not_mixed_up() -> None:
    events = []
    for one, other in zip(SAID[::2], SAID[1::2], strict=False):
        events += [{"index": 0, "delta": {"text": one + other}}, {"index": 1, "delta": {"text": "x"}}]
    shown = _events(REDACTOR.stream(sse(events)).data)
    assert "".join(event["delta"]["text"] for event in shown if event["index"] == 0).startswith(SHOWN[:-1])
    assert {event["delta"]["text"] for event in shown if event["index"] == 1} == {"x"}


@pytest.mark.parametrize("form", ["lines", "array"])
def test_rows_of_objects_are_events_too(form: str) -> None:
    rows = [{"message": {"content": SAID[at : at + 4]}} for at in range(0, len(SAID), 4)]
    body = "\n".join(map(json.dumps, rows)) if form == "lines" else json.dumps(rows, indent=2)
    data = REDACTOR.stream(body.encode()).data.decode()
    shown = [json.loads(line) for line in data.splitlines()] if form == "lines" else json.loads(data)
    assert "".join(row["message"]["content"] for row in shown) == SHOWN


def test_an_event_that_says_a_name_twice_goes_as_a_whole() -> None:
    first, second = KEY[:40], KEY[40:]
    body = f'data: {{"t":"x","t":"{first}"}}\n\ndata: {{"t":"{second}"}}\n\n'.encode()
    data = REDACTOR.stream(body).data
    assert first.encode() not in data
    assert second.encode() not in data


def test_frames_are_whole_frames_again() -> None:
    for wrap in (False, True):
        frames = []
        for at in range(0, len(SAID), 6):
            event: dict[str, Any] = {"delta": {"text": SAID[at : at + 6]}}
            if wrap:
                event = {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abc"}
            frames.append(aws_frame("chunk", event))
        edited = redact_frames(b"".join(frames) + b"half", REDACTOR)
        assert edited is not None
        events = AwsEventParser().feed(edited.data, 0)
        assert len(events) == len(frames)
        assert "".join(json.loads(event.data)["delta"]["text"] for event in events) == SHOWN
        ends = [len(b"".join(frames[:count])) for count in range(len(frames) + 1)]
        places = moved(edited.edits, ends)
        assert all(edited.data[end - 4 : end] for end in places[1:])
        assert places[-1] == len(edited.data)


def test_what_is_no_row_of_frames_is_not_one() -> None:
    assert redact_frames(b"hello", REDACTOR) is None
    assert redact_frames(b"", REDACTOR) is None
    clean = aws_frame("chunk", {"delta": {"text": "hi"}})
    edited = redact_frames(clean, REDACTOR)
    assert edited is not None
    assert (edited.data, edited.edits) == (clean, [])


def test_every_place_is_found_again() -> None:
    body = b"aa SECRET bb S2 cc"
    edits = [Edit(3, 9, b"*"), Edit(13, 15, b"****")]
    shown = b"aa * bb **** cc"
    assert [shown[: moved(edits, [place])[0]] for place in (0, 3, 9, 10, 15, len(body))] == [
        b"",
        b"aa ",
        b"aa *",
        b"aa * ",
        b"aa * bb ****",
        shown,
    ]
    ends = moved(edits, list(range(len(body) + 1)))
    assert b"".join(shown[start:end] for start, end in pairwise(ends)) == shown
