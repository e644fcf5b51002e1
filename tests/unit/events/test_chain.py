"""The link of a line: it stands for every byte, be it by the hash of the body."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.events import decode_event, encode_event
from lunaroute.events.bodies import embed_body, request_bytes
from lunaroute.events.chain import link_of, link_of_line
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from tests.builders import SessionScript, as_written

BODIES = [
    b"",
    b"{}",
    b'{"request_json":{"request_body":null},"response_json":1}',
    b'"\\"request_json\\":\\"response_json\\":"',
    b'{"a":\n1}',
    b"not JSON",
    b"\xff",
]


def _request(body: bytes, text: str = "hello") -> RequestRecorded:
    request = next(one for one in SessionScript().ask(text).events if isinstance(one, RequestRecorded))
    embedded = embed_body(body)
    return msgspec.structs.replace(
        request, request_json=embedded.json, request_body=embedded.copy, body_sha256=embedded.sha256
    )


def _response(body: bytes, text: str) -> ResponseRecorded:
    response = next(one for one in SessionScript().turn("x", text).events if isinstance(one, ResponseRecorded))
    embedded = embed_body(body)
    return msgspec.structs.replace(
        response, response_json=embedded.json, response_body=embedded.copy, body_sha256=embedded.sha256
    )


@given(st.sampled_from(BODIES) | st.binary(max_size=60), st.text(max_size=20) | st.just('"request_json":"'))
def test_a_line_alone_has_the_link_that_its_writer_gave_it(body: bytes, text: str) -> None:
    for event in (_request(body, text), _response(body, text)):
        line = encode_event(event)
        assert link_of(event, line) == link_of_line(line)


def test_what_is_no_body_is_hashed_as_it_stands() -> None:
    script = SessionScript().turn().complete()
    for event in (script.events[0], script.events[-1]):
        line = encode_event(event)
        assert link_of(event, line) == hashlib.sha256(line).hexdigest()


@pytest.mark.parametrize("body", BODIES)
def test_every_changed_byte_shows_in_the_link_or_in_the_hash_of_the_body(body: bytes) -> None:
    line = encode_event(_request(body))
    link = link_of_line(line)
    for place in range(len(line)):
        changed = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        if link_of_line(changed) != link:
            continue
        event = decode_event(changed)
        assert isinstance(event, RequestRecorded)
        assert hashlib.sha256(request_bytes(event)).hexdigest() != event.body_sha256


@given(st.binary(max_size=80))
def test_any_bytes_have_a_link(data: bytes) -> None:
    assert link_of_line(data) == hashlib.sha256(data).hexdigest()


def test_a_line_that_somebody_wrote_anew_has_another_link() -> None:
    line = encode_event(_request(b'{"a":1}'))
    spaced = line.replace(b'"request_json":', b'"request_json": ')
    assert link_of_line(spaced) == hashlib.sha256(spaced).hexdigest() != link_of_line(line)


def test_as_written_follows_the_contract_and_not_the_code() -> None:
    events = as_written(SessionScript().turn().turn().complete().events)
    links = [link_of(event, encode_event(event)) for event in events]
    assert [event.prev for event in events] == [None, *links[:-1]]
