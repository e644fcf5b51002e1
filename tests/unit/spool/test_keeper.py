import asyncio
import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.spool import segments, syncing
from lunaroute.spool.keeper import Keeper
from lunaroute.spool.writer import SpoolWriter, open_lane

KB64 = 1 << 16


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    writer = open_lane(tmp_path / "spool", KB64)
    yield writer
    writer.close([], 0)


@pytest.fixture
def keeper(writer: SpoolWriter) -> Iterator[Keeper]:
    keeper = Keeper(writer.lane_dir, writer.segment_bytes)
    yield keeper
    keeper.close()


def pid(keeper: Keeper) -> int:
    assert keeper._process is not None
    return keeper._process.pid


def synced(keeper: Keeper, writer: SpoolWriter) -> None:
    asyncio.run(keeper.sync(writer.take_unsynced()))


def test_another_process_syncs_what_was_written(
    keeper: Keeper, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda fd: pytest.fail("synced here"))
    writer.request_chunk(1, 1, b"x", None)
    writer.flush()
    assert writer.is_dirty
    synced(keeper, writer)
    assert not writer.is_dirty
    monkeypatch.undo()


def test_descriptors_of_ended_segments_do_not_add_up(keeper: Keeper, writer: SpoolWriter) -> None:
    synced(keeper, writer)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(300):  # more than fit into a message
        writer.reopen()
    synced(keeper, writer)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the event loop's own
    assert len(os.listdir(f"/proc/{pid(keeper)}/fd")) < 20


def test_an_error_of_the_disk_is_told(keeper: Keeper, writer: SpoolWriter) -> None:
    read_end, write_end = os.pipe()  # cannot be synced
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        asyncio.run(keeper.sync(syncing.Unsynced([], write_end, None, is_backlog=False)))
    os.close(read_end)
    os.close(write_end)
    synced(keeper, writer)


def test_a_killed_keeper_is_replaced_and_nothing_goes_unsynced(
    keeper: Keeper, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[int] = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (here.append(fd), fdatasync(fd)))
    os.kill(pid(keeper), signal.SIGKILL)
    synced(keeper, writer)
    assert here
    synced(keeper, writer)  # starts another one
    here.clear()
    synced(keeper, writer)
    assert not here


def test_a_keeper_that_dies_with_much_to_do_leaves_none_of_it_undone(
    keeper: Keeper, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[int] = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (here.append(fd), fdatasync(fd)))
    for _ in range(450):  # three messages
        writer.reopen()
    os.kill(pid(keeper), signal.SIGKILL)
    synced(keeper, writer)
    assert len(here) == 451


def test_a_keeper_that_cannot_be_started_is_done_without(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no process to be had")

    monkeypatch.setattr("subprocess.Popen", refuse)
    keeper = Keeper(writer.lane_dir, writer.segment_bytes)
    writer.reopen()
    synced(keeper, writer)
    assert not writer.is_dirty
    keeper.close()


def test_it_outlives_a_terminals_interrupt_and_ends_with_the_writer(keeper: Keeper, writer: SpoolWriter) -> None:
    synced(keeper, writer)  # it is up
    os.kill(pid(keeper), signal.SIGINT)
    os.kill(pid(keeper), signal.SIGTERM)
    synced(keeper, writer)
    process = keeper._process
    keeper.close()
    assert process is not None
    assert process.returncode == 0


def test_it_has_segments_ready(keeper: Keeper, writer: SpoolWriter) -> None:
    synced(keeper, writer)
    deadline = time.monotonic() + 10
    while len(segments.list_free(writer.lane_dir)) < segments.MIN_FREE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
