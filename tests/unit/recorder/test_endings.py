"""Sessions that somebody ends: asked for by a file, noted in a plan, done once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.config import Config, SessionsConfig
from lunaroute.events import Event, decode_event
from lunaroute.events.types import Completed, Started
from lunaroute.recorder import recorder as recorder_module
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.endings import EndRequests, ask_to_end
from lunaroute.recorder.journal import Journal
from lunaroute.recorder.recorder import Recorder
from lunaroute.recorder.worker import open_recorder
from lunaroute.spool.writer import SpoolWriter
from tests.support.spooled import SEGMENT_BYTES, LaneScript, files
from tests.traffic import anthropic_request, anthropic_response


class Relay:
    """A relay that goes on writing to its lane."""

    def __init__(self, home: Path) -> None:
        (home / "spool").mkdir(parents=True)
        self._writer = SpoolWriter(home / "spool" / "w0", SEGMENT_BYTES)
        self._script = LaneScript("w0")
        self._script.start(0)

    def ask(self, number: int, at_ms: int) -> None:
        self._script.request(number, anthropic_request(f"question {number}"), "alpha", at_ms)
        self._tell()

    def answer(self, number: int, at_ms: int) -> None:
        self._script.response(number, [anthropic_response("answer")], at_ms, is_stream=False, is_closed=True)
        self._tell()

    def _tell(self) -> None:
        for one in self._script.records:
            self._writer.put(one)
        self._writer.flush()
        self._script.records.clear()

    def close(self) -> None:
        self._writer.close([], 0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recorder_module, "_TICK_S", 0.0)
    return tmp_path


@pytest.fixture
def relay(home: Path) -> Iterator[Relay]:
    relay = Relay(home)
    yield relay
    relay.close()


def opened(home: Path) -> Recorder:
    """The times of the records are long ago; that is no reason to end a session."""
    config = Config(home=home, sessions=SessionsConfig(idle_timeout_s=1e9))
    return open_recorder(config, DeadLetters(home / "recorder" / "dead-letter"))


def told(home: Path) -> list[list[Event]]:
    """The events of each session."""
    return [[decode_event(line) for line in data.splitlines()] for _, data in sorted(files(home).items())]


def test_a_session_ends_when_somebody_asks_and_goes_on_in_another(home: Path, relay: Relay) -> None:
    recorder = opened(home)
    relay.ask(1, 10)
    relay.answer(1, 100)
    recorder.step()
    ((started, *_),) = told(home)
    ask_to_end(home / "recorder", started.session_id)
    recorder.step()
    ((*_, completed),) = told(home)
    assert isinstance(completed, Completed)
    assert completed.reason == "ended"
    assert EndRequests(home / "recorder").waiting() == []

    relay.ask(2, 2000)
    relay.answer(2, 2100)
    recorder.step()
    recorder.close()
    _, (second, *_) = told(home)
    assert isinstance(second, Started)
    assert second.continues == started.session_id


def test_one_with_an_exchange_under_way_ends_with_it_also_after_a_restart(home: Path, relay: Relay) -> None:
    recorder = opened(home)
    relay.ask(1, 10)
    recorder.step()
    ((started, *_),) = told(home)
    ask_to_end(home / "recorder", started.session_id)
    recorder.step()
    recorder.close()
    recorder = opened(home)
    relay.answer(1, 100)
    recorder.step()
    recorder.close()
    ((*_, completed),) = told(home)
    assert isinstance(completed, Completed)
    assert completed.reason == "ended"


def test_nothing_is_lost_or_done_twice_when_the_recorder_dies_between_plan_and_sinks(
    home: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = opened(home)
    relay.ask(1, 10)
    relay.answer(1, 100)
    recorder.step()
    recorder.checkpoint()
    ((started, *_),) = told(home)
    ask_to_end(home / "recorder", started.session_id)

    class KilledError(BaseException):
        pass

    original = Journal.add_plan

    def killed(journal: Journal, plan: object) -> None:
        original(journal, plan)  # type: ignore[arg-type]
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add_plan", killed)
        with pytest.raises(KilledError):
            recorder.step()
    recorder._journal.close()
    recorder = opened(home)
    recorder.step()
    recorder.close()
    ((*rest, completed),) = told(home)
    assert isinstance(completed, Completed)
    assert not any(isinstance(event, Completed) for event in rest)
    assert [event.seq for event in (*rest, completed)] == list(range(len(rest) + 1))
    assert EndRequests(home / "recorder").waiting() == []


def test_what_is_no_session_ends_none(home: Path, relay: Relay) -> None:
    recorder = opened(home)
    relay.ask(1, 10)
    relay.answer(1, 100)
    recorder.step()
    before = told(home)
    ask_to_end(home / "recorder", "no-session")
    recorder.step()
    recorder.close()
    assert told(home) == before
    assert EndRequests(home / "recorder").waiting() == []
