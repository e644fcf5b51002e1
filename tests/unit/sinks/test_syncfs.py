"""Syncing many session files at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.sinks import jsonl
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.syncfs import sync_filesystem
from tests.builders import SessionScript

MANY = 40


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[JsonlSink]:
    sink = JsonlSink(tmp_path)
    sink.open()
    for number in range(MANY):
        sink.write_batch(SessionScript(f"s{number}").turn().events)
    yield sink
    sink.close()


def count_fsyncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    fds: list[int] = []
    monkeypatch.setattr(os, "fsync", fds.append)
    return fds


def test_many_files_are_synced_with_one_call(sink: JsonlSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[Path] = []
    monkeypatch.setattr(jsonl, "sync_filesystem", lambda path: paths.append(path) or True)
    fds = count_fsyncs(monkeypatch)
    sink.sync()
    assert paths == [tmp_path]
    assert not fds
    sink.sync()
    assert paths == [tmp_path], "nothing was written since"


def test_each_file_is_synced_where_the_system_has_no_such_call(
    sink: JsonlSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "sync_filesystem", lambda path: False)
    fds = count_fsyncs(monkeypatch)
    sink.sync()
    assert len(fds) >= MANY


def test_an_unreachable_path_is_an_error(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("syncfs is Linux")
    assert sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_filesystem(tmp_path / "absent")
