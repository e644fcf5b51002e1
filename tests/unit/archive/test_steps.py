"""kill -9 at each step that has a name: no session is ever unreadable, half there, or in no place at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.store import ArchiveStore
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from tests.support.archive_steps import COMPRESS, PRUNE, PUSH, dies_at, work
from tests.unit.archive.test_retention import _check_index, _record, _session, _state
from tests.unit.sinks.test_reindex import dump

Lines = dict[str, list[bytes]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a session for each clock, none compressed."""
    home = tmp_path_factory.mktemp("recorded")
    _record(home, _session("old", 90), _session("middle", 40), _session("new", 1), is_compressed=False)
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "home"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "archive")


def _lines(home: Path) -> Lines:
    return {session_id: list(read_lines(path)) for session_id, path in session_files(home / "sessions")}


@pytest.mark.parametrize("step", COMPRESS)
def test_killed_while_compressing(step: str, home: Path, url: str) -> None:
    before = _lines(home)
    assert dies_at("compress", step, home, url)
    assert _lines(home) == before
    work("compress", home, url)
    assert _lines(home) == before
    left = {path.name for path in (home / "sessions").glob("*/*")}
    assert left == {f"{session_id}.jsonl.zst" for session_id in before}


@pytest.mark.parametrize("step", PUSH)
def test_killed_while_pushing(step: str, home: Path, url: str) -> None:
    work("compress", home, url)
    before = _lines(home)
    assert dies_at("push", step, home, url)
    assert _lines(home) == before
    store = ArchiveStore(url)
    assert verify_archive(store).problems == [], "a manifest names what is not there"
    report = push(store, home / "sessions")
    assert (report.pushed_count + report.known_count, report.left_alone) == (3, [])
    assert verify_archive(store).verified_count == 3
    assert _fetched(store, home.with_name("fetched")) == before


@pytest.mark.parametrize("step", PRUNE)
def test_killed_while_deleting(step: str, home: Path, url: str) -> None:
    before = _lines(home)
    assert dies_at("prune", step, home, url)
    store = ArchiveStore(url)
    fetched = _fetched(store, home.with_name("fetched"))
    left = _lines(home)
    for session_id, lines in before.items():
        is_whole = left.get(session_id) == lines
        assert is_whole or fetched[session_id] == lines, "it is whole in no place"
        assert len(left.get(session_id, lines)) == len(lines), "half a session"
    work("prune", home, url)
    assert sorted(_state(home).values()) == ["bodiless", "whole"]
    assert verify_archive(store).verified_count == 2
    _check_index(home)
    assert dump(home / "sessions" / "sessions.db")["daily_stats"]


def _fetched(store: ArchiveStore, home: Path) -> Lines:
    """What a new machine gets from the archive."""
    assert pull(store, home / "sessions").problems == []
    return _lines(home)
