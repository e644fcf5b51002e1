"""The whole home on a full disk: `block` lets no request through, `pass` all; afterwards what happened is on record."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lunaroute.cli.control import read_status
from lunaroute.config import Config
from lunaroute.simulator import RunningSimulator, start_simulator
from lunaroute.spool import segments
from tests.support.faults import Stream, accident_prone, check_recordings, kill, processes
from tests.support.server import Server, start_server, wait_until

DISK_BYTES = 48 << 20
SEGMENT_BYTES = 4 << 20
FAT_BYTES = 1_500_000
ASKED = 12


@pytest.fixture
def provider() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _home(disk: Path, on_failure: str) -> Path:
    home = disk / "home"
    home.mkdir(mode=0o700)
    text = f'[recording]\non_failure = "{on_failure}"\nsegment_bytes = {SEGMENT_BYTES}\n'
    (home / "config.toml").write_text(text)
    return home


def _fill(disk: Path) -> Path:
    """The disk, to its last byte; deleting the file makes room again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x")
        except OSError:
            pass
    return ballast


def _ask(server: Server, marker: str) -> Stream:
    stream = Stream(server.port, marker, answer_bytes=200, padding_bytes=FAT_BYTES)
    stream.read_to_end()
    return stream


def _is_on_record(home: Path, marker: str) -> bool:
    folders = (home / "sessions").glob("*/*.jsonl")
    return any(f'"request_text":"{marker}"'.encode() in path.read_bytes() for path in folders)


def _fill_up(server: Server, disk: Path, home: Path) -> Path:
    """A disk without room, and a spool whose segments, the free ones too, are used up."""
    wait_until(lambda: _is_on_record(home, "before"))
    ballast = _fill(disk)
    for lane in (home / "spool").iterdir():
        for free in segments.list_free(lane):
            os.truncate(free, 0)  # of another size: of no use
    _fill(disk).replace(disk / "more-ballast")
    return ballast


def _make_room(disk: Path) -> None:
    for name in ("ballast", "more-ballast"):
        (disk / name).unlink(missing_ok=True)


def _seen(provider: RunningSimulator) -> set[str]:
    return {entry.request_sha256 for entry in provider.ledger() if entry.request_sha256}


def test_audit_mode_lets_no_request_reach_the_provider(provider: RunningSimulator, disk: Path) -> None:
    home = _home(disk, "block")
    with accident_prone(home, provider) as server:
        assert _ask(server, "before").is_whole
        _fill_up(server, disk, home)
        streams = [_ask(server, f"while full {number}") for number in range(ASKED)]
        refused = [stream for stream in streams if b" 503 " in stream.received.split(b"\r\n")[0]]
        assert len(refused) >= ASKED - SEGMENT_BYTES // FAT_BYTES - 1  # the current segment still had room for some
        assert streams[-1] in refused
        seen = _seen(provider)
        assert len(seen) == 1 + sum(stream.is_whole for stream in streams)
        assert not any(b"event: message_start" in stream.received for stream in refused)
        assert "requests are refused" in server.said
        _make_room(disk)
        wait_until(lambda: _ask(server, "after").is_whole)
    found = check_recordings(home)
    recorded = {one.request.body_sha256 for session in found for one in session.exchanges()}
    assert _seen(provider) <= recorded
    markers = [one.request.request_text for session in found for one in session.exchanges()]
    assert "before" in markers
    assert "after" in markers


def test_pass_mode_lets_all_through_and_puts_the_gap_on_record(provider: RunningSimulator, disk: Path) -> None:
    home = _home(disk, "pass")
    with accident_prone(home, provider) as server:
        assert _ask(server, "before").is_whole
        _fill_up(server, disk, home)
        streams = [_ask(server, f"while full {number}") for number in range(ASKED)]
        assert all(stream.is_whole for stream in streams)
        assert len(_seen(provider)) == 1 + ASKED
        assert read_status(Config(home=home))["is_recording"] is False
        assert "traffic goes on unrecorded" in server.said
        _make_room(disk)
        wait_until((home / "sessions" / "gaps.jsonl").exists)
        assert _ask(server, "after").is_whole
        assert read_status(Config(home=home))["is_recording"] is True
    found = check_recordings(home)
    exchanges = [one for session in found for one in session.exchanges()]
    whole = {one.request.request_text for one in exchanges if one.response.outcome == "completed"}
    assert {"before", "after"} <= whole
    gaps = [msgspec.json.decode(line) for line in (home / "sessions" / "gaps.jsonl").read_bytes().splitlines()]
    missing = {stream.marker for stream in streams} - whole
    assert missing
    assert sum(gap["exchange_count"] for gap in gaps) >= len(missing)
    assert {gap["reason"] for gap in gaps} == {"No space left on device"}
    status = read_status(Config(home=home))
    assert status["recording"]["unrecorded_exchanges"] == sum(gap["exchange_count"] for gap in gaps)


def test_a_relay_killed_while_nothing_can_be_recorded_leaves_its_count(provider: RunningSimulator, disk: Path) -> None:
    home = _home(disk, "pass")
    with accident_prone(home, provider) as server:
        assert _ask(server, "before").is_whole
        _fill_up(server, disk, home)
        streams = [_ask(server, f"while full {number}") for number in range(ASKED)]
        assert all(stream.is_whole for stream in streams)
        kill(*processes(server).relays)
        _make_room(disk)
        wait_until((home / "sessions" / "gaps.jsonl").exists)
        wait_until(lambda: _ask(server, "after").is_whole)
    exchanges = [one for session in check_recordings(home) for one in session.exchanges()]
    whole = {one.request.request_text for one in exchanges if one.response.outcome == "completed"}
    missing = {stream.marker for stream in streams} - whole
    assert missing
    (gap,) = [msgspec.json.decode(line) for line in (home / "sessions" / "gaps.jsonl").read_bytes().splitlines()]
    assert gap["exchange_count"] >= len(missing)


def test_a_home_that_cannot_be_written_is_told_in_one_line(provider: RunningSimulator, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    server = start_server(disk, {"anthropic": provider.base_url})
    assert server.process.wait(30) == 1
    (line,) = server.said.splitlines()
    assert line.startswith("lunaroute: ")
    assert "Read-only file system" in line
