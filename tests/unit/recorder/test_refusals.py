"""A disk that fails with EIO for a while, at each place where the recorder writes."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lunaroute.recorder import recorder as recorder_module
from lunaroute.recorder.gaps import GapFile
from lunaroute.recorder.journal import Journal
from lunaroute.sinks import jsonl
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.support.spooled import copied, files, record, write_spool
from tests.unit.verify.conftest import Store

EIO = OSError(errno.EIO, "Input/output error")
PLACES: dict[str, tuple[Any, str, Exception]] = {
    "a session's file": (os, "writev", EIO),
    "its sync": (jsonl, "fsync_path", EIO),
    "the index": (SqliteSink, "write_batch", sqlite3.OperationalError("disk I/O error")),
    "the index's sync": (SqliteSink, "sync", EIO),
    "a plan": (Journal, "add_plan", sqlite3.OperationalError("disk I/O error")),
    "a checkpoint": (Journal, "_write", sqlite3.OperationalError("disk I/O error")),
}


def failing(original: Callable[..., Any], error: Exception, told: list[int]) -> Callable[..., Any]:
    """Two times of three."""

    def fail(*arguments: Any, **more: Any) -> Any:
        told[0] += 1
        if told[0] % 3:
            raise error
        return original(*arguments, **more)

    return fail


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_fails_for_a_while_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    calm = tmp_path / "calm"
    write_spool(calm / "spool", rounds=2)
    home = copied(calm, "home")
    record(calm)
    monkeypatch.setattr(recorder_module, "_RETRY_S", (0.0,))
    owner, name, error = PLACES[place]
    told = [0]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), error, told))
    record(home)
    monkeypatch.undo()
    assert told[0] >= 3
    assert files(home) == files(calm)
    assert Store(home).verify().problems == []
    assert GapFile(home / "sessions" / "gaps.jsonl").unrecorded_exchanges == 0
