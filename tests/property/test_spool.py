"""The spool gives back what was written, in order, and nothing else, whatever happens in between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lunaroute.capture.records import Opening, Record, RequestChunk, RequestOpened, ResponseChunk, ResponseOpened
from lunaroute.errors import SpoolCorrupt
from lunaroute.spool import frame
from lunaroute.spool.follow import Follower, LaneRead
from lunaroute.spool.frame import (
    FRAME_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Stop,
    decode_frames,
    decode_segment_header,
    encode_end,
    encode_opening,
    encode_record,
    encode_segment_header,
    frame_head,
    opened_payload,
    response_payload,
)
from lunaroute.spool.writer import SpoolWriter
from tests.support.spool import ANY_RECORD, RECORDS

_SEGMENT = st.integers(1, 2**40)


def test_every_record_type_has_a_strategy() -> None:
    assert {kind.__name__ for kind in get_args(Record)} == set(RECORDS)


@pytest.mark.parametrize("kind", RECORDS)
def test_frame_gives_back_its_record(kind: str) -> None:
    @given(RECORDS[kind], _SEGMENT)
    def check(record: Record, segment: int) -> None:
        data = encode_record(segment, record)
        assert decode_frames(data, segment) == ([record], len(data), Stop.NEED_MORE)

    check()


_WITH_PAYLOAD = ANY_RECORD.filter(lambda record: getattr(record, "data", b"x") != b"")


@given(st.lists(_WITH_PAYLOAD, max_size=6), _SEGMENT, st.integers(0, 5000))
def test_every_prefix_of_a_segment_is_a_prefix_of_its_records(records: list[Record], segment: int, place: int) -> None:
    frames = [encode_record(segment, record) for record in records]
    data = b"".join(frames)
    kept = data[: place % (len(data) + 1)]
    whole = 0
    while len(b"".join(frames[: whole + 1])) <= len(kept) and whole < len(frames):
        whole += 1
    used = len(b"".join(frames[:whole]))
    assert decode_frames(kept, segment) == (records[:whole], used, Stop.NEED_MORE)
    lost = data[len(kept) : len(kept) + 1] or b"\0"
    overwritten = kept + bytes([lost[0] ^ 0xFF]) + b"\xff" * 4096  # an earlier life's bytes instead of the rest
    assert decode_frames(overwritten, segment)[:2] == (records[:whole], used)


@given(st.lists(ANY_RECORD, min_size=1, max_size=4), _SEGMENT, st.integers(0, 5000), st.integers(1, 255))
def test_changed_byte_ends_the_records_before_it(records: list[Record], segment: int, place: int, change: int) -> None:
    frames = [encode_record(segment, record) for record in records]
    data = bytearray(b"".join(frames))
    place %= len(data)
    data[place] ^= change
    intact = 0
    while len(b"".join(frames[: intact + 1])) <= place:
        intact += 1
    within = place - len(b"".join(frames[:intact]))
    found, used, _ = decode_frames(bytes(data) + bytes(4096), segment)
    assert found[:intact] == records[:intact]
    if within < 4 or within >= FRAME_HEADER_BYTES:  # CRC or payload: certain; elsewhere in the header: 2 to the 32nd
        assert (len(found), used) == (intact, len(b"".join(frames[:intact])))


@given(ANY_RECORD, _SEGMENT, st.integers(1, 2**30))
def test_frame_of_an_earlier_life_of_the_segment_is_none(record: Record, segment: int, age: int) -> None:
    data = encode_record(segment, record)
    assert decode_frames(data, segment + age) == ([], 0, Stop.NO_FRAME)
    assert decode_frames(encode_end(segment, record.t_ns), segment + age) == ([], 0, Stop.NO_FRAME)


@given(st.binary(max_size=400), _SEGMENT)
def test_random_bytes_are_no_frame(data: bytes, segment: int) -> None:
    records, used, stop = decode_frames(data, segment)
    assert (records, used) == ([], 0)
    assert stop in (Stop.NO_FRAME, Stop.NEED_MORE)
    with pytest.raises(SpoolCorrupt):
        decode_segment_header(data)


@given(
    st.integers(0, 255), st.integers(0, 255).map(lambda flags: flags & ~frame.SEALED), st.binary(max_size=200), _SEGMENT
)
def test_payload_of_another_program_with_a_good_crc_raises_nothing(
    kind: int, flags: int, payload: bytes, segment: int
) -> None:
    data = frame_head(kind, segment, 1, 1, payload, flags) + payload
    records, used, stop = decode_frames(data, segment)
    assert used in (0, len(data))
    assert bool(records) is (used > 0 and stop is not Stop.END_OF_SEGMENT)


@given(st.binary(max_size=80), st.sampled_from([b"", b"GET"]), st.integers(-1, 2**40))
def test_opening_of_another_program_raises_nothing(opening: bytes, body: bytes, length: int) -> None:
    payload = opened_payload(1, bytes(16), length, b"\xff", opening, body)
    data = frame_head(frame.REQUEST_OPENED, 7, 1, 1, payload) + payload
    decode_frames(data, 7)


@given(_SEGMENT)
def test_segment_header_gives_back_its_number(number: int) -> None:
    data = encode_segment_header(number)
    assert decode_segment_header(data) == number
    for place in range(len(data)):
        with pytest.raises(SpoolCorrupt):
            decode_segment_header(data[:place])
        with pytest.raises(SpoolCorrupt):
            decode_segment_header(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@given(RECORDS["RequestOpened"], st.binary(max_size=50), st.none() | st.integers(0, 2**60), st.integers(0, 10**17))
def test_opening_shared_by_many_requests_gives_each_its_own_length(
    record: RequestOpened, body: bytes, pre_ns: int | None, length: int
) -> None:
    before, after = b"A: b\r\nContent-Length: ", b"\r\nC: d"
    shared = encode_opening(
        Opening(
            record.listener, record.provider, record.method, record.target, record.path, record.http_version,
            before + after, record.session_tags, record.credential, len(before),
        )
    )  # fmt: skip
    payload = opened_payload(5, bytes(range(16)), length, b"127.0.0.1", shared, body, pre_ns)
    flags = 0 if pre_ns is None else frame.LAST
    data = frame_head(frame.REQUEST_OPENED, 3, 9, 4, payload, flags) + payload
    opened, *chunks = decode_frames(data, 3)[0]
    assert isinstance(opened, RequestOpened)
    assert opened.header_lines == b"%s%d%s" % (before, length, after)
    assert (opened.exchange, opened.t_ns, opened.wall_ns, opened.client_ip) == (9, 4, 5, "127.0.0.1")
    assert opened.request_id == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert chunks == ([RequestChunk(9, 4, body, pre_ns)] if body or pre_ns is not None else [])


@given(st.binary(max_size=50))
def test_response_s_first_bytes_may_share_its_frame(body: bytes) -> None:
    payload = response_payload(200, b"OK\r\nA: b", body)
    data = frame_head(frame.RESPONSE_OPENED, 3, 9, 4, payload) + payload
    expected: list[Record] = [ResponseOpened(9, 4, 200, "OK", b"A: b")]
    assert decode_frames(data, 3)[0] == expected + ([ResponseChunk(9, 4, body)] if body else [])


class SpoolModel(RuleBasedStateMachine):
    """One lane against lists: what was flushed, what a reader has had, what it may read again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool_dir = Path(self.folder.name)
        self.writer = self.open_writer()
        self.follower = Follower(self.spool_dir, {})
        self.count = 0
        self.pending: list[Record] = []
        self.unread: list[Record] = []
        self.batches: list[LaneRead] = []

    def open_writer(self) -> SpoolWriter:
        return SpoolWriter(self.spool_dir / "w0", 4 * MAX_PAYLOAD_BYTES)

    def next_chunk(self, size: int) -> ResponseChunk:
        self.count += 1
        return ResponseChunk(self.count, self.count, self.count.to_bytes(4, "big") * (size // 4))

    @rule(size=st.sampled_from([0, 40, 4000, 900_000, MAX_PAYLOAD_BYTES]))
    def write(self, size: int) -> None:
        record = self.next_chunk(size)
        before = self.writer.number
        self.writer.response_chunk(record.exchange, record.t_ns, record.data)
        self.note(record, before)

    @rule()
    def write_long(self) -> None:
        record = self.next_chunk(2_500_000)
        for at in range(0, len(record.data), MAX_PAYLOAD_BYTES):
            piece = ResponseChunk(record.exchange, record.t_ns, record.data[at : at + MAX_PAYLOAD_BYTES])
            before = self.writer.number
            self.writer.response_chunk(piece.exchange, piece.t_ns, piece.data)
            self.note(piece, before)

    @rule(record=ANY_RECORD)
    def put(self, record: Record) -> None:
        before = self.writer.number
        self.writer.put(record)
        self.note(record, before)

    def note(self, record: Record, number_before: int) -> None:
        if self.writer.number != number_before:  # rolled over, so what was queued is in the old segment
            self.unread += self.pending
            self.pending = []
        self.pending.append(record)

    @rule()
    def flush(self) -> None:
        self.writer.flush()
        self.unread += self.pending
        self.pending = []

    @rule()
    def sync(self) -> None:
        self.writer.sync()

    @rule()
    def roll(self) -> None:
        """As after an error of the disk."""
        self.writer.reopen()
        self.pending = []

    @rule()
    def crash(self) -> None:
        """kill -9: what was not flushed is gone, the lock is free."""
        self.abandon_writer()
        self.writer = self.open_writer()
        self.pending = []

    @precondition(lambda self: self.writer._offset < 3 * MAX_PAYLOAD_BYTES)
    @rule(keep=st.integers(1, 60))
    def crash_in_the_middle_of_a_write(self, keep: int) -> None:
        torn = encode_record(self.writer.number, self.next_chunk(80))
        os.pwrite(self.writer._fd, torn[:keep], self.writer._offset)
        self.crash()

    @rule()
    def stop(self) -> None:
        last = self.next_chunk(4)
        before = self.writer.number
        self.unread += self.pending
        self.pending = []
        self.writer.close([last], last.t_ns)
        assert self.writer.number == before or self.writer.number == before + 1
        self.unread.append(last)
        self.writer = self.open_writer()

    @rule()
    def read(self) -> None:
        while reads := self.follower.poll():
            for read in reads:
                assert read.records == self.unread[: len(read.records)]
                self.unread = self.unread[len(read.records) :]
                self.batches.append(read)
        assert self.unread == []

    @rule()
    def restart_reader(self) -> None:
        self.follower.close()
        self.follower = Follower(self.spool_dir, self.follower.positions)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, len(self.batches) - 1))
        again = Follower(self.spool_dir, {})
        for read in self.batches[first:]:
            assert again.read_exactly(read.lane, read.start, read.end).records == read.records
        again.close()

    @precondition(lambda self: self.batches)
    @rule()
    def release(self) -> None:
        self.follower.release(self.follower.positions)
        self.batches = []

    @invariant()
    def writer_is_seen_alive(self) -> None:
        assert self.follower.is_writer_alive("w0")

    def abandon_writer(self) -> None:
        for fd in (self.writer._fd, self.writer._lock_fd, *self.writer._unsynced):
            os.close(fd)

    def teardown(self) -> None:
        self.read()
        self.abandon_writer()
        self.follower.close()
        self.folder.cleanup()


TestSpoolModel = SpoolModel.TestCase
TestSpoolModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
