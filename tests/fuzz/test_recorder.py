"""What the recorder reads: no bytes raise in a parser or a dialect, none breaks the pipeline, none fills the memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.aws_events import AwsEventParser
from lunaroute.assemble.content import ContentDecoder, decode_content
from lunaroute.assemble.json_stream import JsonStreamParser
from lunaroute.assemble.sse import SseParser
from lunaroute.assemble.websocket import MessageReader
from lunaroute.dialects import read_answer, read_request_body, read_response_body
from lunaroute.dialects.facts import WireFormat
from lunaroute.errors import SpoolCorrupt
from lunaroute.events import decode_event, encode_event
from lunaroute.events.types import RequestRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.redact.body import Redactor
from lunaroute.redact.settings import RedactionSettings
from lunaroute.spool.frame import (
    SEGMENT_HEADER_BYTES,
    decode_frames,
    decode_segment_header,
    encode_record,
    encode_segment_header,
    first_frame_offset,
)
from tests.aws_frames import aws_frame
from tests.exchanges import EVENT_STREAM, ExchangeScript
from tests.integration.test_leaks import DIALECTS
from tests.sockets import STARTED, SocketScript
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of

from .mutations import FUZZ, PLACES, mutated, odd_json, splits

SMALL = 4_000
"""Examples are the leak test's bodies of all dialects, with short texts."""


def _small(value: Any) -> Any:
    if isinstance(value, str):
        return value[:20]
    if isinstance(value, list):
        return [_small(child) for child in value[:6]]
    return {key: _small(child) for key, child in value.items()} if isinstance(value, dict) else value


_READ = [dialect() for dialect in DIALECTS]
REQUESTS = [json.dumps(_small(request)).encode() for _, request, _ in _READ]
WHOLE = [
    json.dumps(_small(json.loads(body))).encode()
    for _, _, answers in _READ
    for kind, body in answers
    if kind == "application/json"
]
STREAMS = [
    body[:SMALL] + body[-600:] for _, _, answers in _READ for kind, body in answers if kind != "application/json"
]
FORMATS: list[WireFormat] = list(get_args(WireFormat))
PATHS = [path for path, _, _ in _READ] + ["/v1/embeddings", "/v1/completions", "/model/m/invoke", "/x", ""]
CONTENT_TYPES = [
    None,
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
]
CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


@FUZZ
@given(st.sampled_from(FORMATS), st.sampled_from(PATHS), odd_json(REQUESTS) | mutated(REQUESTS))
def test_no_request_makes_a_dialect_raise(wire_format: WireFormat, path: str, body: bytes) -> None:
    read_request_body(wire_format, path, body)


@FUZZ
@given(
    st.sampled_from(FORMATS),
    odd_json(WHOLE) | mutated(WHOLE) | mutated(STREAMS),
    PLACES,
    st.sampled_from(CONTENT_TYPES),
    st.sampled_from([200, 400, 0]),
)
def test_no_response_makes_a_dialect_raise(
    wire_format: WireFormat, body: bytes, places: list[int], content_type: str | None, status_code: int
) -> None:
    chunks = [(number, data) for number, data in enumerate(splits(body, places))]
    read_answer(wire_format, read_response_body(wire_format, chunks, content_type, status_code))


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


EVENTS = sorted(
    {line[6:] for body in STREAMS for line in body.split(b"\n") if _is_json(line[6:]) and line[6:7] == b"{"}
)


@st.composite
def odd_events(draw: st.DrawFn) -> bytes:
    """A stream of events, most of them good."""
    lines = draw(st.lists(st.sampled_from(EVENTS) | odd_json(EVENTS), min_size=1, max_size=6))
    return b"".join(b"data: " + line + b"\n\n" for line in lines)


@FUZZ
@given(st.sampled_from(FORMATS), odd_events())
def test_no_event_of_wrong_types_makes_a_dialect_raise(wire_format: WireFormat, body: bytes) -> None:
    read_answer(wire_format, read_response_body(wire_format, [(1, body)], "text/event-stream", 200))


@FUZZ
@given(mutated([*STREAMS, aws_frame("x", {"a": 1})]), PLACES)
def test_parsers_take_any_bytes_and_give_the_same_events_however_they_are_cut(body: bytes, places: list[int]) -> None:
    for parser in (SseParser, JsonStreamParser, AwsEventParser):
        found: list[list[bytes]] = []
        for reads in ([body], splits(body, places)):
            reader = parser()
            events = [event for data in reads for event in reader.feed(data, 1)]
            events += reader.finish()
            found.append([event.data for event in events])
        assert found[0] == found[1]


@FUZZ
@given(st.sampled_from(sorted(CODINGS)), mutated(STREAMS), mutated([b""]), PLACES, st.integers(0, 5000))
def test_decoding_never_raises_and_never_gives_more_than_allowed(
    coding: str, body: bytes, more: bytes, places: list[int], limit: int
) -> None:
    sent = CODINGS[coding](body)
    for data in (sent, sent[: len(sent) // 2] + more, more):
        for name in (coding, "gzip", "br", "zstd", "deflate", "gzip, br"):
            decoder = ContentDecoder(name, limit)
            out = b"".join(decoder.feed(piece) for piece in splits(data, places)) + decoder.finish()
            assert len(out) <= limit


@FUZZ
@given(mutated([encode_segment_header(7) + encode_record(7, STARTED)]), st.integers(0, 60))
def test_spool_frames_are_read_or_are_none(data: bytes, offset: int) -> None:
    for read in (decode_segment_header, first_frame_offset):
        try:
            read(data[:SEGMENT_HEADER_BYTES])
        except SpoolCorrupt:
            continue
    records, used, _ = decode_frames(data, 7, offset)
    assert offset <= used <= max(offset, len(data))
    assert len(records) <= len(data)


@FUZZ
@given(mutated([b"\x81\x05hello", b"\x81\x85\x01\x02\x03\x04abcde", b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"]), PLACES)
def test_websocket_frames_never_raise(data: bytes, places: list[int]) -> None:
    for keeps_window in (None, True, False):
        reader = MessageReader(keeps_window, max_bytes=1000)
        for number, piece in enumerate(splits(data, places)):
            reader.feed(piece, number)
        reader.finish(99)


@FUZZ
@given(odd_json(REQUESTS) | mutated(REQUESTS), odd_json(WHOLE) | mutated(STREAMS), PLACES)
def test_sockets_never_break_the_pipeline(asked: bytes, said: bytes, places: list[int]) -> None:
    script = SocketScript()
    script.create("hello", at_ms=1)
    script.says(asked, from_client=True, at_ms=2)
    script.says(said, from_client=False, at_ms=3)
    for number, piece in enumerate(splits(said, places)):
        script.raw(piece, from_client=number % 2 == 0, at_ms=4 + number)
    script.end(from_client=True, at_ms=60)
    assembler, pipeline = Assembler(), Pipeline(PipelineSettings())
    for record in [STARTED, *script.records]:
        for item in assembler.feed("w0", record):
            pipeline.feed(item)
    assert [one.reason for one in pipeline.take_poisoned()] == []


@FUZZ
@given(
    st.sampled_from(PATHS), odd_json(REQUESTS) | mutated(REQUESTS), odd_json(WHOLE) | mutated(STREAMS), st.booleans()
)
def test_no_exchange_breaks_the_pipeline(path: str, asked: bytes, said: bytes, is_redacted: bool) -> None:
    script = ExchangeScript(body=asked, path=path)
    script.answer(200, at_ms=20, headers=EVENT_STREAM if said.startswith(b"data:") else None)
    script.chunk(said, at_ms=30)
    script.close(at_ms=90)
    pipeline = Pipeline(PipelineSettings(redaction=RedactionSettings(key=b"k") if is_redacted else None))
    events = [event for item in both(script) for event in pipeline.feed(item)]
    assert [one.reason for one in pipeline.take_poisoned()] == []
    for event in events:
        line = encode_event(event)
        assert b"\n" not in line
        assert decode_event(line) is not None


REDACTOR = Redactor(RedactionSettings(key=b"k", patterns={"own": r"\bEMP-\d+"}))


@FUZZ
@given(
    odd_json(REQUESTS)
    | mutated(REQUESTS)
    | mutated(STREAMS)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace"))
)
def test_redaction_takes_any_bytes_and_leaves_json_json(body: bytes) -> None:
    for edited in (REDACTOR.text(body), REDACTOR.stream(body)):
        if _is_json(body):
            assert _is_json(edited.data)
        places = [0, *(edit.start for edit in edited.edits), len(body)]
        assert places == sorted(places)


LINES = [
    encode_event(event)
    for item in both(exchange_of(1, anthropic_request("hi"), anthropic_response("ho"), at_ms=0))
    for event in Pipeline(PipelineSettings()).feed(item)
    if isinstance(event, RequestRecorded)
]


@FUZZ
@given(mutated(LINES) | odd_json(LINES))
def test_a_line_of_a_session_file_is_an_event_or_a_decode_error(line: bytes) -> None:
    try:
        decode_event(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


BOMB = gzip.compress(bytes(64 << 20))
MEMORY: dict[str, Callable[[], object]] = {
    "a compressed bomb": lambda: decode_content(BOMB, "gzip", 1 << 20),
    "an event without an end": lambda: _feed(SseParser(max_event_bytes=1 << 16), b"data: " + b"x" * (1 << 16), 200),
    "a frame that says it is huge": lambda: _feed(AwsEventParser(), b"\x7f" * 4096, 500),
    "a websocket frame that says it is huge": lambda: _feed(
        MessageReader(None, max_bytes=1 << 20), b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + b"x" * 4096, 500
    ),
    "a fragmented message without an end": lambda: _feed(
        MessageReader(None, max_bytes=1 << 16), b"\x01\x7d" + b"x" * 125, 5000
    ),
}


def _feed(reader: Any, data: bytes, times: int) -> None:
    for number in range(times):
        reader.feed(data, number)


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_bounded_whatever_the_bytes_announce(case: str) -> None:
    tracemalloc.start()
    try:
        MEMORY[case]()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
