"""A lost or damaged journal: recording goes on from the oldest segment, and nothing is recorded a second time."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.errors import StartError
from lunaroute.events import Event, decode_event
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.recorder.recorder import Recorder
from lunaroute.sinks.reindex import reindex
from lunaroute.spool import segments
from lunaroute.spool.writer import SpoolWriter
from tests.sockets import SocketScript
from tests.support.faults import dump
from tests.support.spooled import SEGMENT_BYTES, LaneScript, copied, files, open_home, record, write_spool
from tests.traffic import anthropic_request, anthropic_response


def journal_of(home: Path) -> Path:
    return home / "recorder" / "journal.db"


def lose_journal(home: Path) -> None:
    for path in journal_of(home).parent.glob("journal.db*"):
        path.unlink()


def abandon(recorder: Recorder) -> None:
    """What the kernel does for a dead process."""
    recorder.follower.close()
    for sink in recorder._sinks:
        sink.close()
    recorder._journal.close()


def events_of(home: Path) -> list[Event]:
    return [decode_event(line) for content in files(home).values() for line in content.splitlines()]


def answers(home: Path) -> Counter[str]:
    """How often which answer is recorded, by the text of its request."""
    events = events_of(home)
    asked = {event.request_id: event.request_text for event in events if isinstance(event, RequestRecorded)}
    return Counter(asked[event.request_id] for event in events if isinstance(event, ResponseRecorded))


def answers_in_index(home: Path) -> int:
    with closing(sqlite3.connect(home / "sessions" / "sessions.db")) as connection:
        rows = connection.execute("SELECT request_id FROM session_stats WHERE outcome = 'completed'").fetchall()
    assert len(set(rows)) == len(rows)
    return len(rows)


def assert_index_is_right(home: Path) -> None:
    reindex(home / "sessions", home / "anew.db")
    assert dump(home / "sessions" / "sessions.db") == dump(home / "anew.db")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("relearn") / "home"
    write_spool(home / "spool", lanes=2)
    record(copied(home, "whole"))
    return home


def test_sessions_that_are_whole_in_the_spool_are_made_again_and_known(original: Path) -> None:
    home = copied(original, "recorded twice")
    spool = shutil.copytree(home / "spool", home / "kept")
    record(home)
    before = files(home)
    lose_journal(home)
    shutil.rmtree(home / "spool")
    spool.rename(home / "spool")
    record(home)
    assert files(home) == before == files(original.with_name("whole"))
    assert_index_is_right(home)


class Running:
    """A home whose relay goes on while the recorder's journal is lost: the first of its two segments was given
    back, the second has an answered and an open exchange of the session that began in the first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "spool").mkdir(parents=True)
        self.writer = SpoolWriter(home / "spool" / "w0", SEGMENT_BYTES)
        script = LaneScript("w0")
        script.start(0)
        self._ask(script, 1, "in the first segment", 10)
        self._answer(script, 1, 100)
        self.put(script)
        recorder = open_home(home)
        recorder.step()
        self.writer.reopen()
        script = LaneScript("w0")
        self._ask(script, 2, "answered", 1000)
        self._answer(script, 2, 1100)
        self._ask(script, 3, "open", 1200)
        self.put(script)
        while recorder.step():
            pass
        recorder.checkpoint()
        assert segments.list_segments(home / "spool" / "w0") == [self.writer.number]
        abandon(recorder)

    def put(self, script: LaneScript) -> None:
        for one in script.records:
            self.writer.put(one)
        self.writer.flush()

    def go_on(self) -> None:
        script = LaneScript("w0")
        self._answer(script, 3, 1300)
        self._ask(script, 4, "asked later", 1400)
        self._answer(script, 4, 1500)
        script.stop(2000)
        self.writer.close(script.records, 0)

    def _ask(self, script: LaneScript, number: int, text: str, at_ms: int) -> None:
        script.request(number, anthropic_request(text), "agent", at_ms)

    def _answer(self, script: LaneScript, number: int, at_ms: int) -> None:
        answer = anthropic_response(f"to {number}", response_id=f"msg_{number}")
        script.response(number, [answer], at_ms, is_stream=False, is_closed=True)


class RunningSocket(Running):
    """The same with WebSockets of one session: one in the first segment, and one that is open in the second."""

    def __init__(self, home: Path) -> None:
        self._sockets: dict[int, tuple[SocketScript, int]] = {}
        super().__init__(home)

    def _socket(self, script: LaneScript, number: int, at_ms: int) -> SocketScript:
        """Number 1 is the one of the first segment."""
        name = min(number, 2)
        if name not in self._sockets:
            headers = [(b"session_id", b"agent")]
            self._sockets[name] = SocketScript(name, lane="w0", headers=headers, opened_ms=at_ms - 1, deflate=True), 0
        return self._sockets[name][0]

    def _told(self, script: LaneScript, socket: SocketScript) -> None:
        _, told = self._sockets[socket.number]
        script.records += socket.records[told:]
        self._sockets[socket.number] = socket, len(socket.records)

    def _ask(self, script: LaneScript, number: int, text: str, at_ms: int) -> None:
        socket = self._socket(script, number, at_ms)
        socket.create(text, at_ms=at_ms)
        self._told(script, socket)

    def _answer(self, script: LaneScript, number: int, at_ms: int) -> None:
        socket = self._socket(script, number, at_ms)
        socket.answer(f"resp_{number}", f"to {number}", at_ms=at_ms)
        if number in (1, 4):
            socket.end(from_client=True, at_ms=at_ms + 50)
        self._told(script, socket)


@pytest.mark.parametrize("kind", [Running, RunningSocket])
def test_what_is_answered_in_a_session_that_cannot_be_gone_on_with_is_passed_over(
    kind: type[Running], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running = kind(tmp_path / "home")
    lose_journal(running.home)
    running.go_on()
    record(running.home)
    assert answers(running.home) == {"in the first segment": 1, "answered": 1, "open": 1, "asked later": 1}
    assert answers_in_index(running.home) == 4
    last = [content.splitlines()[-1] for content in files(running.home).values()]
    assert sum(b'"type":"completed"' in line for line in last) == 1
    said = capfd.readouterr().err
    assert said.count("of the spool 1 exchanges are recorded: they are passed over\n") == 1


def test_a_crash_after_that_changes_nothing(tmp_path: Path) -> None:
    running = Running(tmp_path / "home")
    lose_journal(running.home)
    running.go_on()
    recorder = open_home(running.home)
    while recorder.step():
        pass
    abandon(recorder)
    record(running.home)
    assert answers(running.home) == {"in the first segment": 1, "answered": 1, "open": 1, "asked later": 1}


def test_a_damaged_journal_is_set_aside_and_recording_goes_on(
    original: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = copied(original, "damaged")
    journal_of(home).parent.mkdir()
    damaged = b"this is not a database, however long it may be" * 100
    journal_of(home).write_bytes(damaged)
    record(home)
    assert files(home) == files(original.with_name("whole"))
    assert journal_of(home).with_name("journal.db.corrupt-1").read_bytes() == damaged
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(
        r"lunaroute: recorder: \S.*journal\.db cannot be used \(file is not a database\); it is kept as "
        r"journal\.db\.corrupt-1, and what the spool holds is read again",
        line,
    )


def test_a_journal_with_contents_of_another_kind_is_set_aside_too(original: Path) -> None:
    home = copied(original, "contents")
    open_home(home).close()
    with closing(sqlite3.connect(journal_of(home))) as connection, connection:
        connection.execute("INSERT INTO plan (body) VALUES (?)", (b"\xc1",))
    record(home)
    assert files(home) == files(original.with_name("whole"))
    assert journal_of(home).with_name("journal.db.corrupt-1").exists()


def test_a_spool_deleted_under_a_plan_costs_the_journal_and_not_what_comes(tmp_path: Path) -> None:
    running = Running(tmp_path / "home")
    recorder = open_home(running.home)
    running.go_on()
    recorder.step()  # planned and written, and no checkpoint
    abandon(recorder)
    shutil.rmtree(running.home / "spool")
    script = LaneScript("w0")
    script.start(5000, run_id="run-2")
    script.request(1, anthropic_request("after"), "agent", 5010)
    script.stop(6000)
    script.write(running.home / "spool")
    record(running.home)
    assert answers(running.home)["after"] == 1
    assert journal_of(running.home).with_name("journal.db.corrupt-1").exists()


def test_a_segment_deleted_under_a_plan_costs_the_journal_and_not_what_comes(tmp_path: Path) -> None:
    running = Running(tmp_path / "home")
    number = running.writer.number
    recorder = open_home(running.home)
    running.go_on()
    recorder.step()
    abandon(recorder)
    segments.segment_path(running.home / "spool" / "w0", number).unlink()
    script = LaneScript("w0")
    script.start(5000, run_id="run-2")
    script.request(1, anthropic_request("after"), "agent", 5010)
    script.stop(6000)
    script.write(running.home / "spool")
    record(running.home)
    assert answers(running.home) == {"in the first segment": 1, "answered": 1, "open": 1, "asked later": 1, "after": 1}


def test_a_spool_deleted_between_checkpoints_is_read_from_its_new_beginning(original: Path) -> None:
    """Segment numbers begin anew; the positions of the old ones are further."""
    home = copied(original, "deleted")
    for _ in range(3):  # three lives: the lane comes to segment 4
        writer = SpoolWriter(home / "spool" / "w0", SEGMENT_BYTES)
        writer.close([], 0)
    record(home)
    shutil.rmtree(home / "spool")
    script = LaneScript("w0")
    script.start(900_000, run_id="run-2")
    script.request(1, anthropic_request("after"), "agent", 900_010)
    script.stop(901_000)
    script.write(home / "spool")
    record(home)
    assert answers(home)["after"] == 1


def test_a_journal_that_only_cannot_be_read_now_stays_where_it_is(original: Path) -> None:
    home = copied(original, "locked")
    open_home(home).close()
    with closing(sqlite3.connect(journal_of(home), isolation_level=None)) as connection:
        connection.execute("DROP TABLE plan")
        connection.execute("CREATE VIEW plan AS SELECT 1 AS number")
    with pytest.raises(StartError, match=r"cannot use .*journal\.db \("):
        open_home(home)
    assert not journal_of(home).with_name("journal.db.corrupt-1").exists()
