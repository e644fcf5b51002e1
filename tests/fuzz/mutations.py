"""Bytes that are nearly right: good examples, cut, repeated, swapped and spiced, and JSON of the wrong types."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "40"))
FUZZ = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))

SPICE = [
    *(b"\r\n", b"\n\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\\", b"\\ud800", b"\\u0000"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"true",
        b"-1",
        b"1e999",
        b"9" * 30,
        b"[" * 300,
        b'{"a":' * 300,
        b": ",
        b"data:",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: evil\r\n",
        b" ",
        b"\t",
        b"%00",
        b"//",
        b"?",
        b"#",
    ),
    *(
        b"sk-ant-api03-",
        b"a@b.co",
        b"-----BEGIN PRIVATE KEY-----",
        b"4111111111111111",
        b"eyJhbGciOiJI",
        b"password=",
        b"=" * 50,
    ),
]
_ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        2**63,
        1e308,
        "",
        "\ud800",
        "x" * 300,
        [],
        {},
        [None],
        [[]],
        {"": None},
        {"type": 7},
        [{"type": []}],
    ),
]


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with a few accidents, or no seed at all."""
    data = bytearray(draw(st.one_of(st.sampled_from(seeds), st.binary(max_size=200))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        match draw(st.integers(0, 5)):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end] * 2
            case 2:
                data[at:end] = draw(st.sampled_from(SPICE))
            case 3:
                data[at:end] = draw(st.binary(max_size=8))
            case 4:
                del data[at:]
            case _:
                data[at:at] = draw(st.sampled_from(seeds))[:100]
    return bytes(data)


@st.composite
def odd_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A JSON body with some of its values replaced by values of the wrong type, or without them."""
    value = json.loads(draw(st.sampled_from(seeds)))
    places = _places(value)
    for _ in range(draw(st.integers(1, 4))):
        parent, key = draw(st.sampled_from(places))
        odd = draw(st.sampled_from(_ODD_VALUES))
        if isinstance(parent, dict) and key in parent and draw(st.booleans()):
            del parent[key]
        elif isinstance(parent, dict) or key < len(parent):
            parent[key] = odd
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found.append((value, key))
        found += _places(child)
    return found


def splits(data: bytes, places: list[int]) -> list[bytes]:
    """The data cut at these places, wherever they are."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


PLACES = st.lists(st.integers(0, 1 << 16), max_size=5)
