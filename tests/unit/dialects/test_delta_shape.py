"""Deltas read by their shape against the same events read in full."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.assemble.sse import SseParser
from lunaroute.dialects import read_response_body, reader_for
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.facts import ResponseFacts, WireFormat

ODD_TAILS = (
    b'"}}',
    b'"a","b"}}',
    b'""}}',
    b'"a"\n}}',
    b'"a"}}\nid: 5',
    b'"\xff"}}',
    b'"\\ud83d"}}',
    b"7}}",
    b'"}',
    b"",
)
"""What stands where a delta's text and its closing braces do."""


def anthropic(text: str) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + json.dumps(delta, separators=(",", ":")).encode()


def chat(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}, separators=(",", ":")).encode()


def obfuscated(text: str) -> bytes:
    return chat(text)[:-1] + b',"obfuscation":"' + b"x" * (7 - len(text) % 7) + b'"}'


def completion(text: str) -> bytes:
    choice = {"text": text, "index": 0}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}, separators=(",", ":")).encode()


WRITERS = {
    "anthropic": ("anthropic_messages", anthropic),
    "chat": ("openai_chat", chat),
    "obfuscated chat": ("openai_chat", obfuscated),
    "completions": ("openai_completions", completion),
}
every_writer = pytest.mark.parametrize("name", list(WRITERS))


def together(wire_format: WireFormat, blocks: list[bytes]) -> ResponseFacts:
    return read_response_body(wire_format, [(7, b"\n\n".join([*blocks, b""]))], "text/event-stream", 200)


def one_by_one(wire_format: WireFormat, blocks: list[bytes]) -> ResponseFacts:
    parser, stream = SseParser(), reader_for(wire_format).open_stream()
    for event in parser.feed(b"\n\n".join([*blocks, b""]), 7):
        if stream.deltas is not None:
            stream.deltas.forget()
        stream.feed(event)
    return stream.finish()


@every_writer
@given(texts=st.lists(st.text(max_size=5), max_size=12))
def test_texts_are_those_that_a_full_reading_finds(name: str, texts: list[str]) -> None:
    wire_format, block = WRITERS[name]
    blocks = [block(text) for text in texts]
    assert together(wire_format, blocks) == one_by_one(wire_format, blocks)


@given(st.lists(st.one_of(st.text(max_size=3).map(anthropic), st.sampled_from(ODD_TAILS)), min_size=2, max_size=9))
def test_odd_events_among_them_are_read_in_full(parts: list[bytes]) -> None:
    head = anthropic("").rpartition(b'""')[0]
    blocks = [anthropic("first")] + [part if part.startswith(b"event: ") else head + part for part in parts]
    assert together("anthropic_messages", blocks) == one_by_one("anthropic_messages", blocks)


@pytest.mark.parametrize("count", [255, 256, 257, 600])
def test_a_run_of_any_length_is_taken_whole(count: int) -> None:
    blocks = [anthropic(f"{number} ") for number in range(count)]
    assert together("anthropic_messages", blocks).text == "".join(f"{number} " for number in range(count))


def test_what_follows_each_other_is_taken_together_up_to_what_is_different() -> None:
    shape, texts = DeltaShape(), ["a"]
    (event,) = SseParser().feed(anthropic("a") + b"\n\n", 0)
    blocks = [anthropic("b"), anthropic("c"), b"event: ping\ndata: {}", anthropic("d")]
    assert shape.take_blocks(blocks, 0) == 0
    shape.learn(event, b'"text_delta","text":', texts)
    assert (shape.take_blocks(blocks, 0), shape.take_blocks(blocks, 2), shape.take_blocks(blocks, 3)) == (2, 0, 1)
    assert texts == ["a", "b", "c", "d"]
    shape.forget()
    assert shape.take_blocks(blocks, 0) == 0


def test_an_event_that_a_parser_may_refuse_is_left_to_it() -> None:
    shape, texts = DeltaShape(), []
    (event,) = SseParser().feed(anthropic("a") + b"\n\n", 0)
    shape.learn(event, b'"text_delta","text":', texts)
    assert shape.take_blocks([anthropic("x" * (1 << 20))], 0) == 0
