"""How a body is cut into reads changes nothing, and no bytes make a reader raise.

The streams are the corpus's recorded ones. All reads arrive at the same time here, so that facts can be compared
whole.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from functools import cache
from itertools import pairwise
from typing import Any

import brotli  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunaroute.assemble.content import ContentDecoder, decode_content
from lunaroute.assemble.sse import SseParser
from lunaroute.dialects import read_response_body, reader_for
from lunaroute.dialects.facts import ResponseFacts, WireFormat
from tests.corpus import exchanges
from tests.recorded_streams import FORMAT_OF, SSE, TYPE_OF, events_of, streams

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY_FORMATS: dict[WireFormat, str] = {
    "anthropic_messages": "anthropic",
    "openai_chat": "openai-chat",
    "openai_responses": "openai-responses",
    "gemini": "gemini",
    "openai_completions": "openai-completions-legacy",
    "ollama": "ollama",
    "bedrock_converse": "bedrock-converse",
    "metered": "openai-embeddings",
    "unknown": "anthropic",
}
"""Wire format → where the corpus has bodies of it."""
every_kind = pytest.mark.parametrize("kind", list(FORMAT_OF))
every_format = pytest.mark.parametrize("wire_format", list(BODY_FORMATS))
any_reads = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
EXHAUSTIVE_MIN_BYTES = 1500


def read(kind: str, reads: list[bytes]) -> ResponseFacts:
    return read_response_body(FORMAT_OF[kind], [(7, data) for data in reads], TYPE_OF[kind], 200)


def split(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@every_kind
def test_every_stream_reads_the_same_in_small_reads(kind: str) -> None:
    for stream in streams(kind):
        if len(stream) < 60_000:
            small = [stream[start : start + 13] for start in range(0, len(stream), 13)]
            assert read(kind, small) == read(kind, [stream])


@every_kind
def test_every_single_split_of_short_streams_changes_nothing(kind: str) -> None:
    one, other = [stream for stream in streams(kind) if len(stream) >= EXHAUSTIVE_MIN_BYTES][:2]
    line_ends = (b"\r\n", b"\n") if b"\r\n" in one else (b"\n", b"\r\n")
    for stream in (one, other, one if kind == "bedrock_converse" else one.replace(*line_ends)):
        whole = read(kind, [stream])
        for place in range(len(stream)):
            assert read(kind, [stream[:place], stream[place:]]) == whole


def test_an_array_reads_like_the_server_sent_events_of_the_same_objects() -> None:
    arrays = sorted(bytes(read("gemini as an array", [stream]).message) for stream in streams("gemini as an array"))
    assert len(arrays) > 5
    assert arrays == sorted(bytes(read("gemini", [stream]).message) for stream in streams("gemini"))


@every_kind
@any_reads
@given(data=st.data())
def test_any_split_of_any_stream_changes_nothing(kind: str, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([stream for stream in streams(kind) if len(stream) < 40_000]))
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))

    assert read(kind, split(stream, places)) == read(kind, [stream])


@every_kind
@any_reads
@given(data=st.data())
def test_a_stream_cut_anywhere_reads_as_a_beginning_of_the_whole(kind: str, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([stream for stream in streams(kind) if len(stream) < 40_000]))
    place = data.draw(st.integers(0, len(stream)))

    cut, whole = read(kind, [stream[:place]]), read(kind, [stream])

    # Several choices grow side by side.
    if max(whole.content_blocks.count("text"), cut.content_blocks.count("text")) <= 1:
        assert whole.text.startswith(cut.text)
    assert len(cut.tool_calls) <= len(whole.tool_calls)
    # Completion is noted last, wherever the finish reason stood.
    before, after = ([m for m in facts.milestones if m.event_type != "completion"] for facts in (cut, whole))
    assert before == after[: len(before)]
    if isinstance(cut.message, msgspec.Raw):
        assert msgspec.json.decode(cut.message) is not None


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@every_kind
@settings(any_reads, max_examples=15)
@given(data=st.data())
def test_any_split_of_a_compressed_stream_changes_nothing(kind: str, coding: str, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([stream for stream in streams(kind) if len(stream) < 20_000]))
    encode = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}[coding]
    encoded = encode(stream)
    places = data.draw(st.lists(st.integers(0, len(encoded)), max_size=20))
    decoder = ContentDecoder(coding)

    reads = [decoder.feed(piece) for piece in split(encoded, places)]

    assert decoder.finish() == b""
    assert (b"".join(reads), decoder.error) == (stream, None)
    assert read(kind, reads) == read(kind, [stream])


@given(body=st.binary(max_size=300), coding=st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "x"]))
def test_garbage_never_makes_a_decoder_raise(body: bytes, coding: str) -> None:
    assert len(decode_content(body, coding, max_bytes=1000).data) <= 1000


SSE_PIECES = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"event: ",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b": c",
        b"\xef\xbb\xbf",
        b"{}",
        b"id",
        b"\x00\xff",
    ]
)


@settings(max_examples=500)
@given(pieces=st.lists(SSE_PIECES, max_size=30), places=st.lists(st.integers(0, 100), max_size=10))
def test_any_split_of_odd_bytes_gives_the_same_events(pieces: list[bytes], places: list[int]) -> None:
    data = b"".join(pieces)

    def parse(reads: list[bytes]) -> tuple[list[Any], int, int]:
        parser = SseParser(max_event_bytes=20)
        events = [event for piece in reads for event in parser.feed(piece, 7)] + parser.finish()
        return events, parser.comment_count, parser.oversized_count

    split_events, _, split_oversized = parse(split(data, [min(place, len(data)) for place in places]))
    whole_events, _, whole_oversized = parse([data])
    assert (split_events, split_oversized) == (whole_events, whole_oversized)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _mutated(value: Any, source: random.Random, replacement: Any) -> Any:
    """`value` with one node, chosen at random on the way down, replaced."""
    if source.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return replacement
    key = source.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
    copy: Any = value.copy()
    copy[key] = _mutated(value[key], source, replacement)
    return copy


@every_kind
@settings(any_reads, max_examples=120)
@given(data=st.data())
def test_wrong_types_anywhere_never_make_a_stream_reader_raise(kind: str, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([stream for stream in streams(kind) if len(stream) < 20_000]))
    source = random.Random(data.draw(st.integers(0, 2**32)))
    reader = reader_for(FORMAT_OF[kind]).open_stream()
    for event in events_of(kind, stream if TYPE_OF[kind] != SSE else stream.rstrip() + b"\n\n"):
        payload = event.data
        if payload.startswith(b"{") and source.random() < 0.3:
            payload = json.dumps(_mutated(json.loads(payload), source, data.draw(JSON_VALUES))).encode()
        reader.feed(msgspec.structs.replace(event, data=payload))

    facts = reader.finish()

    assert msgspec.json.encode(facts)  # all of it can be written


@every_format
@settings(any_reads, max_examples=120)
@given(data=st.data())
def test_wrong_types_anywhere_never_make_a_body_reader_raise(wire_format: WireFormat, data: st.DataObject) -> None:
    exchange = data.draw(st.sampled_from(plain_exchanges(BODY_FORMATS[wire_format])))
    source = random.Random(data.draw(st.integers(0, 2**32)))
    reader = reader_for(wire_format)
    for part in exchange:
        mutated = part
        for _ in range(3):
            mutated = _mutated(mutated, source, data.draw(JSON_VALUES))
        body = json.dumps(mutated).encode()
        assert msgspec.json.encode(reader.read_request(body))
        assert reader.read_response(body, 200) is not None
        assert reader.read_response(body, 400) is not None


@cache
def plain_exchanges(provider: str) -> list[tuple[Any, Any]]:
    found = []
    for exchange in exchanges(provider):
        body = exchange["response_body_raw"] or ""
        is_whole = not exchange["is_sse"] and "}\n{" not in body
        if is_whole and body.lstrip().startswith("{") and len(body) < 20_000:
            found.append((exchange["request_body"], json.loads(body)))
    return found


@every_format
@given(body=st.binary(max_size=200), status_code=st.sampled_from([200, 400]))
def test_garbage_bytes_never_make_a_reader_raise(wire_format: WireFormat, body: bytes, status_code: int) -> None:
    for content_type in ("application/json", "text/event-stream"):
        facts = read_response_body(wire_format, [(0, body), (1, b"\n\ndata: " + body)], content_type, status_code)
        assert facts.usage is None
    assert reader_for(wire_format).read_request(body).tool_results == []
