from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.assemble.aws_events import AwsEventParser
from tests.aws_frames import aws_frame

BODY = (
    aws_frame("messageStart", {"role": "assistant"})
    + aws_frame("chunk", {"bytes": base64.b64encode(b'{"type":"ping"}').decode(), "p": "abc"})
    + aws_frame("modelStreamErrorException", {"message": "broken"}, message_type="exception")
    + aws_frame("metadata", b"\xff not json")
)


def parse(reads: list[bytes]) -> list[tuple[str, bytes, int]]:
    parser = AwsEventParser()
    events = [event for t_ns, data in enumerate(reads) for event in parser.feed(data, t_ns)]
    return [(event.event, event.data, event.t_ns) for event in events + parser.finish()]


def test_frames_become_events() -> None:
    assert parse([BODY]) == [
        ("messageStart", b'{"role": "assistant"}', 0),
        ("", b'{"type":"ping"}', 0),
        ("error", b'{"type":"error","error":{"type":"modelStreamErrorException","message":"broken"}}', 0),
        ("metadata", b"\xff not json", 0),
    ]


def test_every_split_gives_the_same_events() -> None:
    whole = [event[:2] for event in parse([BODY])]
    for place in range(len(BODY)):
        assert [event[:2] for event in parse([BODY[:place], BODY[place:]])] == whole


def test_headers_of_other_types_are_passed_over() -> None:
    others = b"\x01a\x00" + b"\x01b\x04\x00\x00\x00\x01" + b"\x01c\x06\x00\x02xy" + b"\x01d\x09" + b"\x00" * 16
    frame = aws_frame("x", b"{}")
    headers_bytes = struct.unpack(">I", frame[4:8])[0]
    headers = others + frame[12 : 12 + headers_bytes]

    prelude = struct.pack(">II", 16 + len(headers) + 2, len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + b"{}" + b"\x00" * 4
    assert parse([body]) == [("x", b"{}", 0)]


@pytest.mark.parametrize("broken", [b"\x00" * 40, BODY[:8] + b"\x00\x00\x00\x00" + BODY[12:], b"<html>" * 9])
def test_what_is_no_frame_ends_the_stream(broken: bytes) -> None:
    assert parse([aws_frame("a", b"{}") + broken, aws_frame("b", b"{}")]) == [("a", b"{}", 0)]


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_never_raises(reads: list[bytes]) -> None:
    assert isinstance(parse([*reads, BODY]), list)
