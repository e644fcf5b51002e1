"""The spool's limit while the recorder stands still: `pass` lets all through, `block` refuses; both end with room."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lunaroute.simulator import RunningSimulator, start_simulator
from tests.support.faults import Stream, accident_prone, check_recordings, processes
from tests.support.server import Server, wait_until

SEGMENT_BYTES = 4 << 20
FAT_BYTES = 1_500_000
REASON = "the spool holds all that recording.spool_max_bytes allows"
ASKED = 7
"""More than two segments take."""


@pytest.fixture
def provider() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def _home(tmp_path: Path, on_failure: str) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    lines = [
        f'on_failure = "{on_failure}"',
        f"segment_bytes = {SEGMENT_BYTES}",
        f"spool_max_bytes = {2 * SEGMENT_BYTES}",
    ]
    (home / "config.toml").write_text("\n".join(["[recording]", *lines, ""]))
    return home


def _ask(server: Server, marker: str) -> Stream:
    stream = Stream(server.port, marker, answer_bytes=200, padding_bytes=FAT_BYTES)
    stream.read_to_end()
    return stream


def _is_refused(stream: Stream) -> bool:
    return b" 503 " in stream.received.split(b"\r\n")[0]


def _ask_until_full(server: Server) -> list[Stream]:
    """With a recorder that stands still, so that nothing is given back meanwhile."""
    recorder = processes(server).recorder
    os.kill(recorder, signal.SIGSTOP)
    try:
        return [_ask(server, f"while full {number}") for number in range(ASKED)]
    finally:
        os.kill(recorder, signal.SIGCONT)


def _gaps(home: Path) -> list[dict[str, object]]:
    path = home / "sessions" / "gaps.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_pass_mode_lets_all_through_and_puts_the_gap_on_record(provider: RunningSimulator, tmp_path: Path) -> None:
    home = _home(tmp_path, "pass")
    with accident_prone(home, provider) as server:
        assert _ask(server, "before").is_whole
        streams = _ask_until_full(server)
        assert all(stream.is_whole for stream in streams)
        assert f"cannot write the spool ({REASON}); traffic goes on unrecorded" in server.said
        wait_until(lambda: _gaps(home))
        assert _ask(server, "after").is_whole
    whole = {
        one.request.request_text
        for session in check_recordings(home)
        for one in session.exchanges()
        if one.response.outcome == "completed"
    }
    assert {"before", "after"} <= whole
    missing = {stream.marker for stream in streams} - whole
    assert missing
    gaps = _gaps(home)
    assert sum(int(str(gap["exchange_count"])) for gap in gaps) >= len(missing)
    assert {gap["reason"] for gap in gaps} == {REASON}


def test_audit_mode_refuses_until_the_recorder_has_made_room(provider: RunningSimulator, tmp_path: Path) -> None:
    home = _home(tmp_path, "block")
    with accident_prone(home, provider) as server:
        streams = _ask_until_full(server)
        assert _is_refused(streams[-1])
        assert len([entry for entry in provider.ledger() if entry.request_sha256]) < ASKED
        wait_until(lambda: _ask(server, "after").is_whole)
    recorded = {one.request.body_sha256 for session in check_recordings(home) for one in session.exchanges()}
    assert {entry.request_sha256 for entry in provider.ledger() if entry.request_sha256} <= recorded
