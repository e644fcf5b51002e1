"""Bodies: whatever the bytes are, they come back exactly, and the line stays readable for everyone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lunaroute.events import decode_event, encode_event
from lunaroute.events.bodies import chunk_offsets, embed_body, embed_stream, message_json, request_bytes, response_bytes
from lunaroute.events.embedded import EmbeddedBody
from lunaroute.events.types import NO_JSON, RequestRecorded, RequestStats, ResponseRecorded
from tests.builders import SessionScript

HOSTILE = [
    b"",
    b"null",
    b" null",
    b"true",
    b'{"a":1}',
    b' {"a":1}',
    b'{"a":1}\n',
    b'{"a":\r\n1}',
    b'{"a":"line\\nend"}',
    b'{"a":NaN}',
    b"1e999",
    b"[1e400]",
    b"123456789012345678901234567890",
    b'{"n":18446744073709551615,"m":-9223372036854775808}',
    b'{"n":18446744073709551616}',
    b'{"n":-9223372036854775809}',
    b'{"a":1,"a":2}',
    b'"\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'{"\xff":1}',
    b'\xef\xbb\xbf{"a":1}',
    b"[" * 200 + b"]" * 200,
    b"[" * 201 + b"]" * 201,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 5000,
    b'"\x00"',
    b'"\\u0000"',
    b'"\x7f\xc2\x85\xe2\x80\xa8"',
    b"[01]",
    b"[1.]",
    b"[-]",
    b"-0",
    b"1.0000000000000000000000000000000000001",
    b"{}{}",
    b"\x1f\x8b\x08",
    b"data: {}\n\n",
    b"\n\n\n" + b'{"a":1}',
]


def request_event(body: EmbeddedBody) -> RequestRecorded:
    return RequestRecorded(
        session_id="s",
        request_id="r",
        timestamp="2026-11-22T10:00:00.000000Z",
        seq=1,
        dialect="unknown",
        provider="p",
        listener="l",
        method="POST",
        target="/",
        model_requested=None,
        is_streaming=False,
        request_text="",
        request_json=body.json,
        request_body=body.copy,
        body_sha256=body.sha256,
        is_body_complete=True,
        estimated_tokens=None,
        request_headers=[],
        stats=RequestStats(
            pre_processing_ms=0.0,
            request_size_bytes=0,
            message_count=None,
            has_system_prompt=False,
            has_tools=False,
            tool_count=0,
        ),
    )


def response_event(body: EmbeddedBody) -> ResponseRecorded:
    script = SessionScript()
    script.turn("hi", "hello")
    response = next(event for event in script.events if isinstance(event, ResponseRecorded))
    return msgspec.structs.replace(response, response_json=body.json, response_body=body.copy, body_sha256=body.sha256)


def read_back(body: EmbeddedBody) -> tuple[bytes, Any]:
    """The bytes and the JSON that a reader of the line sees."""
    line = encode_event(request_event(body))
    assert b"\n" not in line
    assert b"\r" not in line
    event = decode_event(line)
    assert isinstance(event, RequestRecorded)
    return request_bytes(event), json.loads(line)["request_json"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
json_bodies = st.builds(
    lambda value, indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii).encode("utf-8", "surrogatepass"),
    json_values,
    st.sampled_from([None, 1]),
    st.booleans(),
)


@given(st.sampled_from(HOSTILE) | st.binary(max_size=200) | json_bodies)
@example(b"null")
def test_every_body_comes_back_byte_for_byte(body: bytes) -> None:
    embedded = embed_body(body)
    restored, _ = read_back(embedded)
    assert restored == body
    assert hashlib.sha256(restored).hexdigest() == embedded.sha256


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_every_hostile_body_comes_back_as_request_and_as_response(body: bytes) -> None:
    assert read_back(embed_body(body))[0] == body
    response = decode_event(encode_event(response_event(embed_body(body))))
    assert isinstance(response, ResponseRecorded)
    assert response_bytes(response) == body


@given(st.sampled_from(HOSTILE) | st.binary(max_size=200) | json_bodies, st.sampled_from(["gzip", "br", "unheard-of"]))
def test_a_coded_body_keeps_its_coding_and_shows_its_json(decoded: bytes, coding: str) -> None:
    wire = bytes(reversed(decoded)) or b"x"
    embedded = embed_body(wire, coding, decoded)
    restored, _ = read_back(embedded)
    assert restored == wire
    assert embedded.copy is not None
    assert embedded.copy.content_encoding == coding
    assert message_json(msgspec.Raw(decoded or b"null")) == embedded.json


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}',
        b'{"a":1,"a":2}',
        b"[1, 2]",
        b'"\\u0000"',
        b'{"n":18446744073709551615}',
        b"-0",
        b"[" * 200 + b"]" * 200,
    ],
)
def test_json_that_fits_a_line_is_spliced_and_not_copied(body: bytes) -> None:
    embedded = embed_body(body)
    assert embedded.copy is None
    assert bytes(embedded.json) == body
    assert body in encode_event(request_event(embedded))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":\n1}', {"a": 1}),
        (b' {"a":1} ', {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b"null", None),
        (b'{"a":NaN}', None),
        (b'{"n":18446744073709551616}', None),
        (b"[" * 201 + b"]" * 201, None),
        (b"not json", None),
    ],
)
def test_what_does_not_fit_is_copied_and_shown_as_the_best_json_there_is(body: bytes, shown: Any) -> None:
    embedded = embed_body(body)
    assert embedded.copy is not None
    assert read_back(embedded) == (body, shown)


def test_an_empty_body_needs_no_copy() -> None:
    assert embed_body(b"") == EmbeddedBody(NO_JSON, None, hashlib.sha256(b"").hexdigest())


def test_text_is_kept_readable_and_binary_in_base64() -> None:
    text, binary = embed_body("data: ü\n\n".encode()).copy, embed_body(b"\xff\x00").copy
    assert text is not None
    assert (text.encoding, text.data) == ("utf-8", "data: ü\n\n")
    assert binary is not None
    assert (binary.encoding, binary.data) == ("base64", "/wA=")


def test_a_stream_keeps_its_bytes_its_arrival_times_and_the_message_it_amounts_to() -> None:
    chunks = [(1_000_000, b"data: 1\n"), (3_500_000, b"\n")]
    embedded = embed_stream(b"data: 1\n\n", None, {"id": "m"}, chunk_offsets(chunks, 500_000))
    assert embedded.copy is not None
    assert embedded.copy.chunks == [(0.5, 8), (3.0, 1)]
    assert bytes(embedded.json) == b'{"id":"m"}'
    event = decode_event(encode_event(response_event(embedded)))
    assert isinstance(event, ResponseRecorded)
    assert response_bytes(event) == b"data: 1\n\n"


def test_a_stream_that_amounts_to_nothing_says_so() -> None:
    assert embed_stream(b":\n", None, None, []).json == NO_JSON
    assert embed_stream(b":\n", None, {"n": 1 << 64}, []).json == NO_JSON
