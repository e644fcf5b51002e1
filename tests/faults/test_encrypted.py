"""A server that encrypts, with processes that die: nothing that was said can be read in any file at any time, and all
of it is recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lunaroute.encryption.keys import look_in_home
from lunaroute.simulator import RunningSimulator, start_simulator
from tests.support.faults import Stream, accident_prone, check_recordings, kill, processes
from tests.support.server import recorded, wait_until


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (tmp_path / "key").write_text("17" * 32 + "\n")
    (home / "config.toml").write_text(f'[encryption]\nkey_file = "{tmp_path / "key"}"\n')
    look_in_home(home)
    yield home
    look_in_home(tmp_path)


def _ask(port: int, marker: str) -> Stream:
    stream = Stream(port, marker, answer_bytes=400, session=f"s{len(marker)}")
    stream.read_to_end()
    return stream


def _readable(home: Path, words: set[bytes]) -> set[bytes]:
    found = set()
    for path in (path for path in home.rglob("*") if path.is_file()):
        with suppress(FileNotFoundError):
            data = path.read_bytes()
            found |= {word for word in words if word in data}
    return found


def test_nothing_that_was_said_is_on_disk_while_it_is_recorded_or_after(provider: RunningSimulator, home: Path) -> None:
    markers = [f"umbrella stand number {number}" for number in range(6)]
    words = {marker.encode() for marker in markers}
    with accident_prone(home, provider) as server:
        os.kill(processes(server).recorder, signal.SIGSTOP)
        answers = [_ask(server.port, marker) for marker in markers[:3]]
        assert all(answer.is_whole for answer in answers)
        words |= {answer.text[:30].encode() for answer in answers}
        segments = [path.read_bytes() for path in (home / "spool").rglob("*.seg")]
        assert any(answer.marker.encode() not in data and any(data[40:]) for data in segments for answer in answers)
        assert _readable(home, words) == set(), "what waits in the spool"
        kill(processes(server).recorder)
        recorded(home, 3)
        open_stream = Stream(server.port, markers[3], answer_bytes=4000, session="open")
        open_stream.read_some()
        kill(*processes(server).relays)
        open_stream.close()
        for marker in markers[4:]:
            wait_until(lambda marker=marker: _asked(server.port, marker))
        recorded(home, 6)
        assert _readable(home, words) == set(), "journal and index of a running server"
    found = check_recordings(home)
    assert {one.request.request_text for session in found for one in session.exchanges()} >= set(markers)
    assert _readable(home, words) == set()
    assert _readable(home, {b"anthropic"}) == {b"anthropic"}, "what is not said is there"


def _asked(port: int, marker: str) -> bool:
    try:
        return _ask(port, marker).is_whole
    except ConnectionError:
        return False
