"""The chunked coding: read alike however it is cut, and refused when it could be read in two ways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lunaroute.relay.chunked import BadChunking, ChunkedReader

_EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b' ;a="b c"', b"\t; x", b";" + b"e" * 500])
_TRAILERS = st.lists(st.sampled_from([b"X-Sum: 1\r\n", b"Empty:\r\n", b"L: \xe9\r\n"]), max_size=3)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(framed, payload)"""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    framed = b""
    for chunk in chunks:
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(chunk)
        framed += size + draw(_EXTENSIONS) + b"\r\n" + chunk + b"\r\n"
    last = draw(st.sampled_from([b"0", b"000"])) + draw(_EXTENSIONS) + b"\r\n"
    return framed + last + b"".join(draw(_TRAILERS)) + b"\r\n", b"".join(chunks)


def read(pieces: list[bytes]) -> tuple[bytes, int, bool]:
    """(payload, bytes used, done)"""
    reader = ChunkedReader()
    payload, used = b"", 0
    for piece in pieces:
        if reader.is_done:
            break
        found, end = reader.feed(piece)
        assert end == len(piece) or reader.is_done
        payload += found
        used += end
    return payload, used, reader.is_done


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(bodies(), st.lists(st.integers(0, 10_000), max_size=12), st.binary(max_size=20))
def test_any_split_gives_the_same_payload_and_end(body: tuple[bytes, bytes], places: list[int], rest: bytes) -> None:
    framed, payload = body
    expected = (payload, len(framed), True)
    assert read([framed + rest]) == expected
    assert read(cut(framed + rest, places)) == expected
    assert read([bytes([byte]) for byte in framed + rest]) == expected


@given(bodies(), st.integers(0, 10_000))
def test_end_is_never_seen_too_early(body: tuple[bytes, bytes], place: int) -> None:
    framed, payload = body
    found, _, is_done = read([framed[: place % len(framed)]])
    assert not is_done
    assert payload.startswith(found)


@given(bodies(), st.binary(min_size=1, max_size=10))
def test_reading_may_begin_within_a_buffer(body: tuple[bytes, bytes], before: bytes) -> None:
    framed, payload = body
    assert ChunkedReader().feed(before + framed, len(before)) == (payload, len(before) + len(framed))


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
@example(b"5\r\nhello\r\n0\r\n\r\n", [])
def test_bytes_are_refused_in_every_split_or_in_none(data: bytes, places: list[int]) -> None:
    outcomes = []
    for pieces in ([data], cut(data, places)):
        try:
            outcomes.append(read(pieces))
        except BadChunking:
            outcomes.append((b"refused", 0, False))
    assert outcomes[0] == outcomes[1]


SMUGGLED = [
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhelloX\n0\r\n\r\n",
    b"5\r\nhello!\r\n0\r\n\r\n",
    b"5\r\nhell\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b";a\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"\xb2\r\nhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\0\r\nhello\r\n0\r\n\r\n",
    b"1" * 16 + b"\r\n",
    b"5;" + b"e" * 5000,
    b"5;" + b"e" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\n",
    b"0\n\r\n",
    b"0\r\nno trailer\r\n\r\n",
    b"0\r\n: x\r\n\r\n",
    b"0\r\nA : x\r\n\r\n",
    b"0\r\nA: x\r\n folded\r\n\r\n",
    b"0\r\nA: \0\r\n\r\n",
    b"0\r\n" + b"A: " + b"b" * 4000 + b"\r\n" * 1 + (b"A: " + b"b" * 4000 + b"\r\n") * 5,
]


@pytest.mark.parametrize("framed", SMUGGLED, ids=range(len(SMUGGLED)))
@pytest.mark.parametrize("is_split", [False, True])
def test_what_a_lenient_reader_would_let_slip_is_refused(framed: bytes, is_split: bool) -> None:
    with pytest.raises(BadChunking):
        read([bytes([byte]) for byte in framed] if is_split else [framed])
