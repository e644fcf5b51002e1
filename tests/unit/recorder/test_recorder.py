"""The recorder's step, interrupted at every point: a new recorder over the same home ends with the same files."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.config import RedactionConfig
from lunaroute.events import decode_event
from lunaroute.events.types import Completed, ResponseRecorded
from lunaroute.query.feed import Feed
from lunaroute.recorder import open_exchanges
from lunaroute.recorder import recorder as recorder_module
from lunaroute.recorder.journal import Journal, Plan
from lunaroute.recorder.recorder import Recorder
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.spool import follow, segments
from lunaroute.spool.writer import SpoolWriter
from tests.support.crash_points import RECORDER_POINTS, around
from tests.support.faults import dump
from tests.support.spooled import SEGMENT_BYTES, LaneScript, copied, files, open_home, record, write_spool
from tests.traffic import anthropic_request, anthropic_response


class KilledError(BaseException):
    """kill -9: no handler may run."""


def _die() -> None:
    raise KilledError


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose spool was kept and recorded without accidents."""
    home = tmp_path_factory.mktemp("recorder") / "home"
    write_spool(home / "spool", lanes=2)
    whole = copied(home, "whole")
    record(whole)
    assert len(files(whole)) >= 5
    return whole


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool of some hundred kilobytes is many steps long, with a checkpoint after every second one."""
    monkeypatch.setattr(follow, "READ_BYTES", 8192)
    monkeypatch.setattr(recorder_module, "_CHECKPOINT_S", 3600)
    monkeypatch.setattr(recorder_module, "_CHECKPOINT_BYTES", 16_000)
    monkeypatch.setattr(
        open_exchanges, "_SOCKET_SLACK_BYTES", -50_000
    )  # a socket is saved by its state again and again


def _abandon(recorder: Recorder) -> None:
    """What the kernel does for a dead process."""
    recorder.follower.close()
    for sink in recorder._sinks:
        sink.close()
    recorder._journal.close()


def _record_until_killed(home: Path, redaction: RedactionConfig = RedactionConfig()) -> bool:  # noqa: B008 - frozen
    """Whether it was killed before it had recorded everything."""
    recorder: Recorder | None = None
    try:
        recorder = open_home(home, redaction)
        while not recorder.is_drained():
            pass
        recorder.checkpoint()
        recorder.close()
    except KilledError:
        if recorder is not None:  # else it died while it ran plans again
            _abandon(recorder)
        return True
    return False


def _assert_same(home: Path, undisturbed: Path) -> None:
    assert files(home) == files(undisturbed)
    assert dump(home / "sessions" / "sessions.db") == dump(undisturbed / "sessions" / "sessions.db")
    assert not (home / "recorder" / "dead-letter").exists()
    assert _totals(home) == _totals(undisturbed)
    _assert_fed_once(home)


def _totals(home: Path) -> Any:
    """As the journal has them; sums of times may differ in their last digits, by the order of the lanes."""
    with closing(sqlite3.connect(home / "recorder" / "journal.db")) as journal:
        (blob,) = journal.execute("SELECT body FROM state WHERE key = 'totals'").fetchone()
    return _rounded(msgspec.msgpack.decode(blob) | {"began_at_s": None})


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {name: _rounded(one) for name, one in value.items()}
        case list():
            return [_rounded(one) for one in value]
        case float():
            return round(value, 6)
        case _:
            return value


def _assert_fed_once(home: Path) -> None:
    """Every event of the files has one position in the feed, and within its session they are in its order."""
    feed = Feed(home / "feed", home / "sessions")
    fed, _ = feed.read(feed.extent().first, 1_000_000)
    places = [(one.session_id, one.event.seq) for one in fed]
    lines = [decode_event(line) for data in files(home).values() for line in data.splitlines()]
    assert sorted(places) == sorted((event.session_id, event.seq) for event in lines)
    latest: dict[str, int] = {}
    for session_id, seq in places:
        assert latest.get(session_id, -1) < seq
        latest[session_id] = seq


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("point", RECORDER_POINTS)
def test_a_crash_at_any_point_changes_no_byte(
    undisturbed: Path, tmp_path: Path, point: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(undisturbed.with_name("home"), f"{point} {nth}")
    with monkeypatch.context() as patch:
        RECORDER_POINTS[point](patch.setattr, nth, _die)
        assert _record_until_killed(home)
    record(home)
    _assert_same(home, undisturbed)


@pytest.mark.parametrize("point", RECORDER_POINTS)
def test_a_crash_while_redacting_changes_no_byte_and_leaves_none_of_what_was_redacted(
    undisturbed: Path, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redaction = RedactionConfig(mode="tokenize", patterns={"long": "e{20,}"})
    whole, home = (copied(undisturbed.with_name("home"), f"redacted {point} {name}") for name in ("whole", "killed"))
    for one in (whole, home):
        (one / "salt").write_bytes(b"s" * 32)
    record(whole, redaction=redaction)
    with monkeypatch.context() as patch:
        RECORDER_POINTS[point](patch.setattr, 2, _die)
        assert _record_until_killed(home, redaction)
    record(home, redaction=redaction)
    _assert_same(home, whole)
    assert files(whole) != files(undisturbed)
    for path in home.rglob("*"):
        assert path.is_dir() or b"e" * 30 not in path.read_bytes(), path


@pytest.mark.parametrize("seed", range(4))
def test_crashes_of_crashed_recorders_change_no_byte(
    undisturbed: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    home = copied(undisturbed.with_name("home"), f"seed {seed}")
    crash_count = 0
    for _ in range(12):
        with monkeypatch.context() as patch:
            RECORDER_POINTS[chance.choice(list(RECORDER_POINTS))](patch.setattr, chance.randint(1, 2), _die)
            crash_count += _record_until_killed(home)
    record(home)
    assert crash_count >= 2
    _assert_same(home, undisturbed)


def test_a_plan_keeps_the_order_in_which_lanes_were_read(tmp_path: Path) -> None:
    """One lane's earlier record was flushed after another lane's later one had been read: read together they would
    change places, and the file would have one exchange twice and the other never."""
    home = tmp_path / "home"
    late, early = LaneScript("w0"), LaneScript("w1")
    late.start(0)
    late.request(1, anthropic_request("late"), "agent", 2000)
    early.start(0)
    early.request(1, anthropic_request("early"), "agent", 1000)
    writers = [_written(home, late)]
    recorder = open_home(home)
    recorder.step()
    writers.append(_written(home, early))
    recorder.step()
    before = files(home)
    _abandon(recorder)
    for writer in writers:
        writer.close([], 0)
    record(home)
    after = files(home)
    assert after.keys() == before.keys()
    assert all(after[name].startswith(lines) for name, lines in before.items())
    asked = [b"".join(after.values()).count(b'"request_text":"%s"' % text) for text in (b"late", b"early")]
    assert asked == [1, 1]


def test_what_was_given_back_is_not_needed_again(tmp_path: Path) -> None:
    """The exchange stays open over the checkpoint that gives its first segment back."""
    home = tmp_path / "home"
    script = LaneScript("w0")
    script.start(0)
    script.request(1, anthropic_request("long ago"), "agent", 10)
    writer = _written(home, script)
    recorder = open_home(home)
    recorder.step()
    writer.reopen()
    recorder.step()
    recorder.checkpoint()
    assert segments.list_segments(home / "spool" / "w0") == [writer.number]
    _abandon(recorder)

    rest = LaneScript("w0")
    rest.response(1, [anthropic_response("at last")], 100, is_stream=False, is_closed=True)
    rest.stop(200)
    writer.close(rest.records, 0)
    record(home)
    (lines,) = files(home).values()
    assert b"long ago" in lines
    assert b"at last" in lines
    assert b'"outcome":"completed"' in lines


def test_a_file_deleted_while_its_session_is_open_holds_nobody_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    script = LaneScript("w0")
    script.start(0)
    script.request(1, anthropic_request("deleted"), "agent-a", 10)
    script.request(2, anthropic_request("kept"), "agent-b", 20)
    writer = _written(home, script)
    recorder = open_home(home)
    recorder.step()
    recorder.checkpoint()
    _abandon(recorder)
    deleted = next(path for _, path in session_files(home / "sessions") if b'"deleted"' in path.read_bytes())
    deleted.unlink()
    rest = LaneScript("w0")
    for number in (1, 2):
        rest.response(number, [b"{}"], 100 + number, is_stream=False, is_closed=True)
    rest.stop(200)
    writer.close(rest.records, 0)
    record(home)
    kept = {name: [decode_event(line) for line in lines.splitlines()] for name, lines in files(home).items()}
    assert [type(event) for event in kept.pop(deleted.name)] == [ResponseRecorded, Completed]
    ((started, *_, completed),) = kept.values()
    assert (started.seq, completed.seq) == (0, 3)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"lunaroute: {deleted} lost events 0 to 1")


def _written(home: Path, script: LaneScript) -> SpoolWriter:
    (home / "spool").mkdir(parents=True, exist_ok=True)
    writer = SpoolWriter(home / "spool" / script.lane, SEGMENT_BYTES)
    for one in script.records:
        writer.put(one)
    writer.flush()
    return writer


def test_while_a_relay_lives_its_spool_is_not_drained_and_nothing_is_interrupted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = LaneScript("w0")
    script.start(0)
    script.request(1, anthropic_request("open"), "agent", 10)
    writer = _written(home, script)
    recorder = open_home(home)
    assert not recorder.is_drained()
    recorder._tick_at = 0
    recorder.step()
    assert recorder.counts.exchanges_recorded == 0
    writer.close([], 0)  # let go without a RelayStopped, as a kill does
    while not recorder.is_drained():
        pass
    assert recorder.counts.exchanges_recorded == 1
    recorder.close()
    (lines,) = files(home).values()
    assert b'"outcome":"interrupted"' in lines


@pytest.mark.parametrize("error", [OSError(28, "No space left"), sqlite3.OperationalError("database is locked")])
def test_a_sink_that_refuses_is_tried_again_until_it_takes_the_batch(
    undisturbed: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home = copied(undisturbed.with_name("home"), type(error).__name__)
    refusals = 0
    really_write = JsonlSink.write_batch

    def refuse(sink: JsonlSink, events: Any) -> None:
        nonlocal refusals
        if refusals < 4:
            refusals += 1
            raise error
        really_write(sink, events)

    monkeypatch.setattr(JsonlSink, "write_batch", refuse)
    monkeypatch.setattr(recorder_module, "_RETRY_S", (0.0,))
    record(home)
    assert capfd.readouterr().err == f"lunaroute: jsonl: {error}; trying again\n"
    assert refusals == 4
    _assert_same(home, undisturbed)


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize(("owner", "name"), [(Journal, "add_plan"), (JsonlSink, "write_batch"), (Journal, "commit")])
def test_a_step_that_breaks_is_made_anew_by_the_next_recorder(
    undisturbed: Path, owner: type, name: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect, not a kill: the recorder closes in order, and must not store a state whose events nobody has."""
    home = copied(undisturbed.with_name("home"), f"{name} {nth}")

    def break_down() -> None:
        raise KeyError("a defect")

    with monkeypatch.context() as patch:
        around(owner, name, is_before=True)(patch.setattr, nth, break_down)
        with pytest.raises(KeyError):
            record(home)
    record(home)
    _assert_same(home, undisturbed)


def test_a_plan_that_cannot_be_written_is_tried_again(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copied(undisturbed.with_name("home"), "no room for plans")
    refusals = iter([True] * 3)
    really_add = Journal.add_plan

    def refuse(journal: Journal, plan: Plan) -> None:
        if next(refusals, False):
            raise sqlite3.OperationalError("database or disk is full")
        really_add(journal, plan)

    monkeypatch.setattr(Journal, "add_plan", refuse)
    monkeypatch.setattr(recorder_module, "_RETRY_S", (0.0,))
    record(home)
    _assert_same(home, undisturbed)


def test_counts_tell_what_was_recorded(undisturbed: Path) -> None:
    home = copied(undisturbed.with_name("home"), "counted")
    recorder = open_home(home)
    while not recorder.is_drained():
        pass
    recorder.close()
    lines = b"".join(files(home).values()).splitlines()
    assert recorder.counts.events_written == len(lines)
    assert recorder.counts.exchanges_recorded == sum(b'"type":"response_recorded"' in line for line in lines)
    assert recorder.gaps.unrecorded_exchanges == 0
