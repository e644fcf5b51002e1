from __future__ import annotations

import pytest

from lunaroute.assemble.json_stream import JsonStreamParser

LINES = b'{"a":"}{\\"","b":[1,{}]}\n{"c":"\\\\"}\r\n\n{"d":null}\n'
ARRAY = b'[{"a":"}{\\"","b":[1,{}]}\r\n,\r\n{"c":"\\\\"},"passed over",7,\n{"d":null}]'
OBJECTS = [b'{"a":"}{\\"","b":[1,{}]}', b'{"c":"\\\\"}', b'{"d":null}']


def parse(reads: list[bytes]) -> list[tuple[bytes, int, bool]]:
    parser = JsonStreamParser()
    events = [event for t_ns, data in enumerate(reads) for event in parser.feed(data, t_ns)]
    return [(event.data, event.t_ns, event.is_cut) for event in events + parser.finish()]


@pytest.mark.parametrize("body", [LINES, ARRAY, b"  \n" + ARRAY])
def test_objects_come_out_one_by_one_however_they_are_split(body: bytes) -> None:
    assert [data for data, _, _ in parse([body])] == OBJECTS
    for place in range(len(body)):
        assert [data for data, _, _ in parse([body[:place], body[place:]])] == OBJECTS
    assert [data for data, _, _ in parse([body[i : i + 1] for i in range(len(body))])] == OBJECTS


def test_an_object_arrived_with_the_read_that_completed_it() -> None:
    assert parse([b'{"a"', b":1}\n{", b'"b":2}']) == [(b'{"a":1}', 1, False), (b'{"b":2}', 2, False)]


def test_what_was_cut_is_handed_over_as_such() -> None:
    assert parse([b'[{"a":1},{"b":"x']) == [(b'{"a":1}', 0, False), (b'{"b":"x', 0, True)]


@pytest.mark.parametrize("body", [b"", b"}]}", b"null", b'"{', b"\\\\\\", b"[[1],[2]]"])
def test_odd_bytes_are_passed_over(body: bytes) -> None:
    assert [data for data, _, is_cut in parse([body]) if not is_cut] == ([b"[1]", b"[2]"] if body[:2] == b"[[" else [])
