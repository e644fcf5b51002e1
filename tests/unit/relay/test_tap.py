"""The disk may fail; the traffic does not notice, and what was lost is counted."""

from __future__ import annotations

import errno
import io

from lunaroute.capture.records import Opening, Outcome, Record, RecordsLost
from lunaroute.relay.tap import Tap


class FailingWriter:
    """Takes records; refuses to write while told so."""

    def __init__(self) -> None:
        self.is_full = False
        self.queued: list[object] = []
        self.written: list[object] = []
        self.sync_count = 0
        self.noted: RecordsLost | None = None

    def opening(self, opening: Opening) -> bytes:
        return b""

    def put(self, record: Record) -> None:
        self.queued.append(record)

    def request_opened(self, exchange: int, *_: object) -> None:
        self.queued.append(("opened", exchange))

    def request_chunk(self, exchange: int, t_ns: int, data: bytes, pre_ns: int | None) -> None:
        self.queued.append(data)

    def response_opened(self, exchange: int, t_ns: int, status_code: int, head: bytes, body: bytes) -> None:
        self.queued.append(body)

    def response_chunk(self, exchange: int, t_ns: int, data: bytes) -> None:
        self.queued.append(data)

    def exchange_closed(
        self,
        exchange: int,
        t_ns: int,
        outcome: Outcome,
        detail: str | None,
        sent_ns: int | None,
        pre_ns: int,
        post_ns: int,
    ) -> None:
        self.queued.append(outcome)

    def flush(self) -> None:
        queued, self.queued = self.queued, []
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written += queued

    def sync(self) -> None:
        self.sync_count += 1

    def note_lost(self, lost: RecordsLost) -> None:
        self.noted = lost

    def forget_lost(self) -> None:
        self.noted = None

    def reopen(self) -> None:
        self.queued = []
        if self.is_full:
            raise OSError(errno.EIO, "Input/output error")


class Setting:
    """A tap over a writer that can fail."""

    def __init__(self, is_blocking: bool = False, sync_always: bool = False, open_count: int = 0) -> None:
        self.writer = FailingWriter()
        self.log = io.StringIO()
        self.tap = Tap(self.writer, "block" if is_blocking else "pass", sync_always, lambda: open_count, self.log)

    def open_request(self, exchange: int) -> None:
        self.tap.records.request_opened(exchange, 1, 1, b"", -1, b"", b"", b"", 0)
        self.tap.flush()

    def gaps(self) -> list[RecordsLost]:
        return [record for record in self.writer.written if isinstance(record, RecordsLost)]


def test_what_was_told_is_written_by_flush() -> None:
    setting = Setting()
    setting.tap.records.request_opened(1, 1, 1, b"", -1, b"", b"", b"", 0)
    assert setting.writer.written == []
    setting.tap.flush()
    assert setting.writer.written == [("opened", 1)]


def test_traffic_goes_on_and_is_counted_while_nothing_can_be_written() -> None:
    setting = Setting(open_count=2)
    setting.writer.is_full = True
    setting.open_request(1)  # one of the two that are open
    assert (setting.tap.is_working, setting.tap.refuses) == (False, False)
    for number in (2, 3, 4):
        setting.open_request(number)
        setting.tap.records.response_chunk(number, 1, b"x")
        setting.tap.records.exchange_closed(number, 1, "completed", None, None, 0, 0)
    assert setting.tap.unrecorded_exchanges == 5
    setting.tap.retry()
    assert not setting.tap.is_working
    assert setting.writer.written == []
    setting.writer.is_full = False
    setting.tap.retry()
    assert setting.tap.is_working
    assert [(gap.exchange_count, gap.reason) for gap in setting.gaps()] == [(5, "Input/output error")]
    assert setting.gaps()[0].since_wall_ns <= setting.gaps()[0].wall_ns
    setting.open_request(6)
    assert setting.writer.written[1:] == [("opened", 6)]
    assert setting.tap.unrecorded_exchanges == 5
    setting.tap.retry()
    assert len(setting.gaps()) == 1


def test_what_is_lost_is_noted_until_it_is_on_record() -> None:
    setting = Setting(open_count=1)
    setting.writer.is_full = True
    setting.open_request(1)
    for number in (2, 3):
        setting.open_request(number)
        assert setting.writer.noted is not None
        assert setting.writer.noted.exchange_count == number
    noted: list[RecordsLost] = []
    setting.writer.is_full = False
    flush = setting.writer.flush
    setting.writer.flush = lambda: (noted.append(setting.writer.noted), flush())  # type: ignore
    setting.tap.retry()
    assert noted == setting.gaps(), "a kill right now would tell the same gap again"
    assert setting.writer.noted is None


def test_second_failure_adds_to_the_count_and_has_a_gap_of_its_own() -> None:
    setting = Setting(open_count=1)
    for _ in range(2):
        setting.writer.is_full = True
        setting.open_request(1)
        setting.open_request(2)
        setting.writer.is_full = False
        setting.tap.retry()
    assert setting.tap.unrecorded_exchanges == 4
    assert [gap.exchange_count for gap in setting.gaps()] == [2, 2]


def test_failure_that_comes_while_failing_forgets_nothing() -> None:
    setting = Setting()
    setting.writer.is_full = True
    setting.open_request(1)
    setting.open_request(2)
    setting.tap.fail(OSError(errno.EIO, "late news of an fsync"))
    assert setting.tap.unrecorded_exchanges == 1
    assert setting.log.getvalue().count("cannot write") == 1


def test_audit_mode_refuses_until_recording_works_again() -> None:
    setting = Setting(is_blocking=True)
    assert not setting.tap.refuses
    setting.writer.is_full = True
    setting.open_request(1)
    assert setting.tap.refuses
    setting.writer.is_full = False
    setting.tap.retry()
    assert not setting.tap.refuses


def test_people_are_told_once_of_the_failure_and_once_of_its_end() -> None:
    setting = Setting(open_count=1)
    setting.writer.is_full = True
    for number in range(3):
        setting.open_request(number)
    setting.writer.is_full = False
    setting.tap.retry()
    first, second = setting.log.getvalue().splitlines()
    assert "No space left on device" in first
    assert "3 exchanges" in second


def test_every_flush_is_synced_only_when_asked_for() -> None:
    for sync_always in (False, True):
        setting = Setting(sync_always=sync_always)
        setting.open_request(1)
        assert setting.writer.sync_count == int(sync_always)
