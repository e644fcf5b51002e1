"""A sink gets every event once and in order, whatever happens to it, to the files or to the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunaroute.config import SinkConfig
from lunaroute.events import Event
from lunaroute.shipping import delivery, growth
from lunaroute.shipping.delivery import Delivery
from lunaroute.shipping.growth import Growth
from lunaroute.shipping.positions import Positions
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import plain_path
from lunaroute.sinks.plugin import SinkSurroundings
from lunaroute.sinks.replacing import compress_file
from tests.builders import SessionScript
from tests.support.server import wait_until

Key = tuple[str, int]


def key(event: Event) -> Key:
    return event.session_id, event.seq


def write(folder: Path, *events: Sequence[Event]) -> None:
    sink = JsonlSink(folder)
    sink.open()
    for some in events:
        sink.write_batch(some)
    sink.close()


def taken(folder: Path, positions: Positions, *, of_all_days: bool = True) -> list[Key]:
    """What there is, stored at once."""
    found = []
    for batch in Growth(folder, positions).batches(of_all_days=of_all_days):
        found += [key(event) for event in batch.events]
        positions.store(batch.reached)
    return found


@pytest.fixture
def sessions_dir(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def positions(tmp_path: Path) -> Positions:
    return Positions(tmp_path / "sink.db")


def test_what_is_new_is_given_once_and_in_the_order_of_its_session(sessions_dir: Path, positions: Positions) -> None:
    script = SessionScript("alpha").turn("a").turn("b").complete()
    write(sessions_dir, script.events[:3])
    assert taken(sessions_dir, positions) == [key(event) for event in script.events[:3]]
    assert taken(sessions_dir, positions) == []
    write(sessions_dir, script.events)
    assert taken(sessions_dir, positions) == [key(event) for event in script.events[3:]]
    assert positions.of(script.session_id).is_done


def test_a_torn_last_line_waits_for_its_end(sessions_dir: Path, positions: Positions) -> None:
    script = SessionScript("alpha").turn("a")
    write(sessions_dir, script.events)
    path = plain_path(sessions_dir, script.session_id)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert len(taken(sessions_dir, positions)) == len(script.events) - 1
    path.write_bytes(whole)
    assert taken(sessions_dir, positions) == [key(script.events[-1])]


def test_a_file_compressed_between_two_looks_is_gone_on_with(sessions_dir: Path, positions: Positions) -> None:
    script = SessionScript("alpha").turn("a").turn("b").complete()
    write(sessions_dir, script.events[:3])
    taken(sessions_dir, positions)
    write(sessions_dir, script.events)
    compress_file(plain_path(sessions_dir, script.session_id))
    assert taken(sessions_dir, positions) == [key(event) for event in script.events[3:]]
    assert taken(sessions_dir, positions) == []


def test_a_file_whose_lines_moved_is_read_again_and_nothing_given_twice(
    sessions_dir: Path, positions: Positions
) -> None:
    script = SessionScript("alpha").turn("a").turn("b").complete()
    write(sessions_dir, script.events[:3])
    taken(sessions_dir, positions)
    path = plain_path(sessions_dir, script.session_id)
    write(sessions_dir, script.events)
    lines = path.read_bytes().splitlines(keepends=True)
    longer = lines[0].replace(b'"type":"started"', b'"type": "started"')
    path.write_bytes(b"".join([longer, *lines[1:]]))
    assert taken(sessions_dir, positions) == [key(event) for event in script.events[3:]]


def test_a_line_that_is_no_event_is_passed_over(
    sessions_dir: Path, positions: Positions, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SessionScript("alpha").turn("a")
    write(sessions_dir, script.events)
    with plain_path(sessions_dir, script.session_id).open("ab") as file:
        file.write(b"nonsense\n")
    assert taken(sessions_dir, positions) == [key(event) for event in script.events]
    assert taken(sessions_dir, positions) == []
    assert capsys.readouterr().err.count("a line is no event") == 1


def test_a_session_of_long_ago_that_goes_on_is_followed(sessions_dir: Path, positions: Positions) -> None:
    old = SessionScript("old").turn("a")
    days = [SessionScript(f"day-{n}", old.start.replace(day=25 + n)) for n in range(4)]
    write(sessions_dir, old.events, *(script.events for script in days))
    watched = Growth(sessions_dir, positions)
    for batch in watched.batches(of_all_days=True):
        positions.store(batch.reached)
    old.turn("b")
    write(sessions_dir, old.events)
    (batch,) = watched.batches(of_all_days=False)
    assert [key(event) for event in batch.events] == [key(event) for event in old.events[3:]]


def test_without_history_only_what_comes_is_given(sessions_dir: Path, positions: Positions) -> None:
    live, over = SessionScript("live").turn("a"), SessionScript("over").turn("b").complete()
    write(sessions_dir, live.events, over.events)
    compress_file(plain_path(sessions_dir, over.session_id))
    Growth(sessions_dir, positions).pass_over()
    assert taken(sessions_dir, positions) == []
    live.turn("c")
    write(sessions_dir, live.events)
    assert taken(sessions_dir, positions) == [key(event) for event in live.events[3:]]


def test_batches_are_bounded(sessions_dir: Path, positions: Positions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_BATCH_EVENTS", 2)
    script = SessionScript("alpha").turn("a").turn("b")
    write(sessions_dir, script.events)
    sizes = []
    for batch in Growth(sessions_dir, positions).batches(of_all_days=True):
        sizes.append(len(batch.events))
        positions.store(batch.reached)
    assert sizes == [2, 2, 1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["grow", "look", "crash", "restart", "compress"]), max_size=12))
def test_no_restart_loses_an_event_or_its_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    folder = tmp_path_factory.mktemp("random")
    script = SessionScript("alpha").turn("a").turn("b").turn("c").complete()
    written, got = 0, []
    positions = Positions(folder / "sink.db")
    for step in [*steps, "grow", "look"]:
        path = plain_path(folder / "sessions", script.session_id)
        match step:
            case "grow":
                written = min(written + 3, len(script.events))
                write(folder / "sessions", script.events[:written])
            case "compress" if path.exists() and written == len(script.events):
                compress_file(path)
            case "restart":
                positions.close()
                positions = Positions(folder / "sink.db")
            case "crash":  # the sink has it, the position does not
                for batch in Growth(folder / "sessions", positions).batches(of_all_days=True):
                    got += [key(event) for event in batch.events]
                    break
            case "look":
                got += taken(folder / "sessions", positions)
            case _:
                pass
    positions.close()
    assert list(dict.fromkeys(got)) == [key(event) for event in script.events[:written]]


# ---- one sink's thread


class _Sink:
    """Takes what it is told to take."""

    name = "mine"

    def __init__(self) -> None:
        self.stored: list[Key] = []
        self.failures_to_come: list[str] = []
        self.opened = 0

    def open(self) -> None:
        self.opened += 1
        self._fail("open")

    def write_batch(self, events: Sequence[Event]) -> None:
        self._fail("write")
        self.stored += [key(event) for event in events]

    def sync(self) -> None:
        self._fail("sync")

    def close(self) -> None:
        pass

    def _fail(self, what: str) -> None:
        if self.failures_to_come[:1] == [what]:
            del self.failures_to_come[0]
            raise RuntimeError(f"{what} does not work")


Run = Callable[..., Delivery]


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> _Sink:
    made = _Sink()
    monkeypatch.setattr(delivery, "make_sink", lambda *_: made)
    monkeypatch.setattr(delivery, "_RETRY_S", (0.001,))
    return made


@pytest.fixture
def begin(tmp_path: Path, sessions_dir: Path) -> Run:
    def begin(stop: threading.Event, *, backfill: bool = True) -> Delivery:
        surroundings = SinkSurroundings(
            name="mine", state_dir=tmp_path, run_dir=tmp_path, sessions_dir=sessions_dir, reject=print
        )
        wanted = SinkConfig(type="mine", backfill=backfill)
        running = Delivery(wanted, surroundings, tmp_path / "mine.db", stop)
        running.start()
        return running

    return begin


def test_what_fails_is_tried_again_until_the_sink_has_it(
    sink: _Sink, begin: Run, sessions_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SessionScript("alpha").turn("a").complete()
    write(sessions_dir, script.events)
    sink.failures_to_come = ["open", "write", "write", "sync"]
    stop = threading.Event()
    running = begin(stop)
    wait_until(lambda: running.info.shipped_events == len(script.events))
    stop.set()
    running.join()
    assert list(dict.fromkeys(sink.stored)) == [key(event) for event in script.events]
    assert (running.info.failures, running.info.is_failing, sink.opened) == (4, False, 2)
    assert "sink mine: RuntimeError: open does not work; trying again" in capsys.readouterr().err


def test_what_is_there_when_it_is_told_to_stop_is_still_given(sink: _Sink, begin: Run, sessions_dir: Path) -> None:
    script = SessionScript("alpha").turn("a").complete()
    write(sessions_dir, script.events)
    stop = threading.Event()
    stop.set()
    begin(stop).join()
    assert sink.stored == [key(event) for event in script.events]


def test_a_sink_that_does_not_work_does_not_keep_the_process(sink: _Sink, begin: Run, sessions_dir: Path) -> None:
    write(sessions_dir, SessionScript("alpha").turn("a").events)
    sink.failures_to_come = ["write"] * 100_000
    stop = threading.Event()
    running = begin(stop)
    wait_until(lambda: running.info.is_failing)
    stop.set()
    running.join(20)
    assert not running.is_alive()
    assert sink.stored == []


def test_history_is_given_only_where_it_is_asked_for(sink: _Sink, begin: Run, sessions_dir: Path) -> None:
    script = SessionScript("alpha").turn("a")
    write(sessions_dir, script.events)
    stop = threading.Event()
    running = begin(stop, backfill=False)
    wait_until((sessions_dir.parent / "mine.db").exists)
    stop.set()
    running.join()
    assert sink.stored == []
    script.turn("b")
    write(sessions_dir, script.events)
    begin(stop, backfill=False).join()
    assert sink.stored == [key(event) for event in script.events[3:]]
