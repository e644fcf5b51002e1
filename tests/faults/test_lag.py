"""A recorder that falls behind: traffic does not notice, it catches up, and the spool stays bounded."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.simulator import RunningSimulator, start_simulator
from lunaroute.spool import segments
from lunaroute.spool.follow import READ_BYTES
from tests.support.faults import Stream, accident_prone, check_recordings, processes
from tests.support.server import recorded, wait_until

SEGMENT_BYTES = 4 << 20
_FAT_BYTES = 3_000_000
_FAT_COUNT = 30


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def _ask(port: int, marker: str, padding_bytes: int = 0) -> float:
    """One exchange in full; how long it took, in seconds."""
    started_s = time.monotonic()
    stream = Stream(port, marker, answer_bytes=300, session="lag", padding_bytes=padding_bytes)
    stream.read_to_end()
    assert stream.is_whole
    return time.monotonic() - started_s


def _spool_bytes(home: Path) -> int:
    """Of all segments, the free ones too; they come and go while this looks."""
    total = 0
    for path in (home / "spool").rglob(f"*{segments.SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_a_recorder_that_stands_still_is_not_noticed_and_catches_up(provider: RunningSimulator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with accident_prone(home, provider) as server:
        usual_s = sorted(_ask(server.port, f"before {number}") for number in range(20))
        recorder = processes(server).recorder
        os.kill(recorder, signal.SIGSTOP)
        meanwhile_s = sorted(_ask(server.port, f"meanwhile {number}") for number in range(40))
        assert meanwhile_s[20] < 5 * usual_s[10] + 0.05
        os.kill(recorder, signal.SIGCONT)
        recorded(home, 60)
        assert processes(server).recorder == recorder
    found = check_recordings(home)
    assert sum(len(session.exchanges()) for session in found) == 60


def test_the_spool_does_not_grow_while_the_recorder_keeps_up(provider: RunningSimulator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f"[recording]\nsegment_bytes = {SEGMENT_BYTES}\n")
    sizes_bytes = []
    with accident_prone(home, provider) as server:
        for number in range(_FAT_COUNT):
            _ask(server.port, f"fat {number}", _FAT_BYTES)
            recorded(home, number + 1)
            sizes_bytes.append(_spool_bytes(home))
        # The current one and the last one; those that are free stay for a minute.
        wait_until(lambda: len([*(home / "spool").glob(f"*/*{segments.SUFFIX}")]) <= 2)
    assert _FAT_COUNT * _FAT_BYTES > 20 * SEGMENT_BYTES
    # Segments are given back with a checkpoint, once a second or with the read that reaches 64 MB; the rest as above,
    # and one exchange. The keeper's reserve stands beside those that wait.
    assert max(sizes_bytes) <= (64 << 20) + READ_BYTES + (6 + segments.MIN_FREE) * SEGMENT_BYTES + _FAT_BYTES
    check_recordings(home)
