"""What becomes of a server when its files are locked, deleted, damaged or out of reach."""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.simulator import RunningSimulator, start_simulator
from tests.support.faults import Stream, accident_prone, check_recordings, is_running, processes
from tests.support.server import Server, recorded, wait_until

LOCKED_S = float(os.environ.get("TEST_LOCKED_S", "2"))
"""How long another process holds the index; `make test-faults` has a minute."""


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def _ask(server: Server, marker: str) -> None:
    stream = Stream(server.port, marker, answer_bytes=100, session=marker)
    stream.read_to_end()
    assert stream.is_whole


def _markers(home: Path) -> list[str]:
    return sorted(one.request.request_text for session in check_recordings(home) for one in session.exchanges())


def test_an_index_that_somebody_else_holds_is_waited_for(provider: RunningSimulator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with accident_prone(home, provider) as server:
        _ask(server, "before")
        recorded(home, 1)
        with closing(sqlite3.connect(home / "sessions" / "sessions.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            held_until_s = time.monotonic() + LOCKED_S
            number = 0
            while time.monotonic() < held_until_s:
                _ask(server, f"meanwhile {number:03}")
                number += 1
                time.sleep(LOCKED_S / 20)
            other.execute("COMMIT")
        recorded(home, 1 + number)
    assert _markers(home) == ["before", *[f"meanwhile {one:03}" for one in range(number)]]


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "damaged"])
def test_an_index_that_is_gone_or_damaged_under_a_running_server_is_made_anew(
    provider: RunningSimulator, tmp_path: Path, is_deleted: bool
) -> None:
    home = tmp_path / "home"
    database = home / "sessions" / "sessions.db"
    with accident_prone(home, provider) as server:
        for number in range(3):
            _ask(server, f"before {number}")
        recorded(home, 3)
        if is_deleted:
            for path in database.parent.glob("sessions.db*"):
                path.unlink()
        else:
            with closing(sqlite3.connect(database)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with database.open("r+b") as file:
                file.write(b"no database at all" * 4000)
        _ask(server, "after")
        recorded(home, 4)
    assert _markers(home) == ["after", "before 0", "before 1", "before 2"]


def test_a_damaged_line_costs_only_itself_at_the_next_start(provider: RunningSimulator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # The file is to keep its name: it may be over, and compressed, before the damage is found or before it is made.
    (home / "config.toml").write_text('[storage]\ncompress_after = "never"\n')
    with accident_prone(home, provider) as server:
        _ask(server, "before")
    (path,) = (home / "sessions").glob("*/*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\xff" * 50 + b"\n", *lines[3:]]))
    (home / "sessions" / "sessions.db").unlink()
    with accident_prone(home, provider) as server:
        _ask(server, "after")
        recorded(home, 1)
        assert f"passed over {path}:3: " in server.said
    path.write_bytes(b"".join(lines))
    (home / "sessions" / "sessions.db").unlink()
    with accident_prone(home, provider) as server:
        recorded(home, 2)
    assert _markers(home) == ["after", "before"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit(2)")
def test_a_relay_without_descriptors_left_takes_connections_again_when_it_has_some(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with accident_prone(home, provider) as server:
        _ask(server, "before")
        here = processes(server)
        (relay,) = here.relays
        in_use = len(os.listdir(f"/proc/{relay}/fd"))
        limits = resource.prlimit(relay, resource.RLIMIT_NOFILE)
        resource.prlimit(relay, resource.RLIMIT_NOFILE, (in_use + 3, limits[1]))
        crowd = []
        for number in range(8):
            stream = Stream(server.port, f"crowd {number}", answer_bytes=100, session=f"crowd {number}")
            stream.wire.sock.settimeout(0.5)
            crowd.append(stream)
        for stream in crowd:
            try:
                stream.read_to_end()
            except TimeoutError:
                continue
        assert is_running(relay)
        resource.prlimit(relay, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: _answers(server))
        assert processes(server).relays == [relay]
    markers = set(_markers(home))
    assert {"before"} | {stream.marker for stream in crowd if stream.is_whole} <= markers


def _answers(server: Server) -> bool:
    stream = Stream(server.port, "after", answer_bytes=100, session="after")
    stream.wire.sock.settimeout(2)
    try:
        stream.read_to_end()
    except TimeoutError:
        return False
    return stream.is_whole
