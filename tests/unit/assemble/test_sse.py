from __future__ import annotations

import pytest

from lunaroute.assemble.sse import SseParser
from lunaroute.assemble.sse_event import ServerSentEvent


def parse(*reads: bytes, max_event_bytes: int = 1000) -> list[ServerSentEvent]:
    parser = SseParser(max_event_bytes)
    events = [event for t_ns, data in enumerate(reads) for event in parser.feed(data, t_ns)]
    return events + parser.finish()


def pairs(*reads: bytes) -> list[tuple[str, bytes]]:
    return [(event.event, event.data) for event in parse(*reads)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_all_three_line_ends_separate_events(line_end: bytes) -> None:
    stream = b"event: a\ndata: 1\n\ndata: 2\n\n".replace(b"\n", line_end)

    assert pairs(stream) == [("a", b"1"), ("", b"2")]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_single_bytes_give_the_same_events(line_end: bytes) -> None:
    stream = b"\xef\xbb\xbfevent: a\ndata: 1\n\n: hi\n\n\n\ndata:2\ndata: 3\n\ndata: cut".replace(b"\n", line_end)

    single = [stream[i : i + 1] for i in range(len(stream))]
    assert pairs(*single) == pairs(stream) == [("a", b"1"), ("", b"2\n3"), ("", b"cut")]


def test_several_data_lines_are_joined_by_a_newline() -> None:
    assert pairs(b"data: a\ndata:b\ndata:  c\n\n") == [("", b"a\nb\n c")]


def test_a_field_without_colon_has_an_empty_value() -> None:
    assert pairs(b"data\n\ndata\ndata\n\n") == [("", b""), ("", b"\n")]


def test_an_event_without_data_is_none() -> None:
    assert pairs(b"event: ping\n\nid: 7\nretry: 10\nother: x\n\ndata: 1\n\n") == [("", b"1")]


def test_the_last_event_name_of_a_block_counts_and_does_not_carry_over() -> None:
    assert pairs(b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n") == [("b", b"1"), ("", b"2")]


def test_field_order_does_not_matter() -> None:
    assert pairs(b"id: 1\ndata: 1\nevent: a\n\n") == [("a", b"1")]


def test_comments_are_skipped_and_counted() -> None:
    parser = SseParser()

    events = parser.feed(b": OPENROUTER PROCESSING\n\n:\n\ndata: 1\n: inside\n\n", 5)

    assert [event.data for event in events] == [b"1"]
    assert parser.comment_count == 3


def test_an_event_bears_the_arrival_of_the_read_that_completed_it() -> None:
    events = parse(b"data: 1\n", b"\ndata: 2\n\nda", b"ta: 3\n\n")

    assert [(event.data, event.t_ns) for event in events] == [(b"1", 1), (b"2", 1), (b"3", 2)]


def test_a_last_event_without_blank_line_is_delivered_as_cut() -> None:
    events = parse(b"data: 1\n\n", b"event: b\ndata: 2\n")

    assert [(event.data, event.is_cut, event.t_ns) for event in events] == [(b"1", False, 0), (b"2", True, 1)]


@pytest.mark.parametrize("rest", [b"event: b\n", b"event: b\ndata:", b"data", b": note", b"\n", b""])
def test_a_rest_without_data_is_no_event(rest: bytes) -> None:
    assert pairs(b"data: 1\n\n" + rest) == [("", b"1")]


def test_the_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert pairs(b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n") == [("", b"1")]


@pytest.mark.parametrize("read_bytes", [1, 3, 7, 1000])
def test_an_event_beyond_the_bound_is_dropped_and_counted_and_its_neighbours_kept(read_bytes: int) -> None:
    stream = b"data: 1\n\ndata: " + b"x" * 100 + b"\ndata: y\n\ndata: 2\n\n"
    parser = SseParser(max_event_bytes=50)

    reads = [stream[i : i + read_bytes] for i in range(0, len(stream), read_bytes)]
    events = [event for read in reads for event in parser.feed(read, 0)] + parser.finish()

    assert [event.data for event in events] == [b"1", b"2"]
    assert parser.oversized_count == 1


def test_an_endless_event_is_not_kept_in_memory() -> None:
    parser = SseParser(max_event_bytes=100)

    for _ in range(1000):
        assert parser.feed(b"x" * 100, 0) == []

    assert sum(len(piece) for piece in parser._pending) < 300
    assert parser.finish() == []
    assert parser.oversized_count == 1
