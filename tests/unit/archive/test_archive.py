"""Sessions in an archive: proven there before anything is deleted here, and back again as they were.

The same tests run against S3 (`make test-s3`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.retention import prune
from lunaroute.archive.store import Archived, ArchiveStore
from lunaroute.cli import cli
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.errors import LunarouteError
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.session_file import read_lines
from tests.support.archives import Directory, Place
from tests.unit.archive.test_retention import NOW, SECRET, _check_index, _record, _session, _state
from tests.unit.sinks.test_reindex import dump


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Directory(tmp_path / "archive")


def _lines(home: Path) -> dict[str, list[bytes]]:
    return {session_id: list(read_lines(path)) for session_id, path in session_files(home / "sessions")}


def _entries(place: Place) -> list[Archived]:
    return list(ArchiveStore(place.url).entries().values())


def _flipped(data: bytes) -> bytes:
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


def test_what_is_over_is_pushed_once_and_comes_back_the_same(home: Path, place: Place) -> None:
    _record(home, _session("a", 3), _session("b", 2), _session("live", 1, is_over=False))
    before, rows = _lines(home), dump(home / "sessions" / "sessions.db")
    store = ArchiveStore(place.url)
    report = push(store, home / "sessions")
    assert (report.pushed_count, report.plain_count, report.left_alone) == (2, 1, [])
    again = push(store, home / "sessions")
    assert (again.pushed_count, again.known_count) == (0, 2)
    for entry in _entries(place):
        data = place.read(entry.key)
        assert len(data) == entry.object_bytes
        told = subprocess.run(["zstdcat"], input=data, capture_output=True, check=True).stdout
        assert told.splitlines() == before[entry.session_id]
        assert (entry.request_count, entry.model_used) == (2, "claude-sonnet-4-5-20250929")
    live = next(path for _, path in session_files(home / "sessions") if path.suffix == ".jsonl")
    live_bytes, live_path = live.read_bytes(), live
    shutil.rmtree(home)
    (live_path.parent).mkdir(parents=True)
    live_path.write_bytes(live_bytes)
    assert len(pull(store, home / "sessions").session_ids) == 2
    assert _lines(home) == before
    reindex(home / "sessions", home / "sessions" / "sessions.db")
    assert dump(home / "sessions" / "sessions.db") == rows


def test_a_damaged_object_is_found_and_the_rest_comes_back(home: Path, place: Place) -> None:
    _record(home, *(_session(f"s{number}", number) for number in range(1, 5)))
    store = ArchiveStore(place.url)
    push(store, home / "sessions")
    assert verify_archive(store).verified_count == 4
    changed, missing, *whole = _entries(place)
    place.damage(changed.key, _flipped(place.read(changed.key)))
    place.damage(missing.key, None)
    report = verify_archive(store)
    assert report.verified_count == 2
    assert [problem.split(": ")[1] for problem in report.problems] == ["it is not what was pushed", "it is missing"]
    fresh = home.with_name("fresh")
    pulled = pull(store, fresh / "sessions")
    assert sorted(pulled.session_ids) == sorted(entry.session_id for entry in whole)
    assert len(pulled.problems) == 2
    here = _lines(home)
    assert _lines(fresh) == {entry.session_id: here[entry.session_id] for entry in whole}
    # What is whole here is put beside what is damaged there; nothing is written over.
    assert push(store, home / "sessions").known_count == 4
    assert push(store, home / "sessions", is_checked=True).pushed_count == 2
    assert verify_archive(store).problems == []
    assert len(pull(store, fresh / "sessions").session_ids) == 2
    assert _lines(fresh) == here


def test_nothing_is_deleted_that_the_archive_does_not_give_back(home: Path, place: Place) -> None:
    good, bad = _session("good", 90), _session("bad", 80)
    _record(home, good, bad)
    push(ArchiveStore(place.url), home / "sessions")
    (entry,) = [entry for entry in _entries(place) if entry.session_id == bad.session_id]
    place.damage(entry.key, _flipped(place.read(entry.key)))
    for storage in ({"delete_bodies_after": "1d"}, {"delete_sessions_after": "1d"}):
        config = Config(home=home, storage=StorageConfig(**storage), archive=ArchiveConfig(url=place.url))
        report = prune(config, NOW)
        assert report.left_alone == [f"{bad.session_id}: it is not in the archive as it is here"]
        assert _state(home)[bad.session_id] == "whole"
        assert _state(home).get(good.session_id) != "whole"
        _check_index(home)
    assert good.session_id not in _state(home)


def test_what_was_deleted_here_comes_back_with_its_rows_and_counts_once(home: Path, place: Place) -> None:
    _record(home, _session("bodies", 40), _session("gone", 90), _session("new", 1))
    before, rows = _lines(home), dump(home / "sessions" / "sessions.db")
    storage = StorageConfig(delete_bodies_after="30d", delete_sessions_after="60d")
    config = Config(home=home, storage=storage, archive=ArchiveConfig(url=place.url))
    assert prune(config, NOW).left_alone == []
    assert sorted(_state(home).values()) == ["bodiless", "whole"]
    # A file that lost its bodies is no news to the archive.
    assert push(ArchiveStore(place.url), home / "sessions").pushed_count == 1
    (home / "config.toml").write_text(f'[archive]\nurl = "{place.url}"\n')
    (bodiless,) = [session_id for session_id, state in _state(home).items() if state == "bodiless"]
    for words in (["show", "--full"], ["export"]):  # asked for, it is fetched, and not kept
        assert f"{SECRET} answered" in _run(home, "sessions", *words, bodiless).stdout
    assert _state(home)[bodiless] == "bodiless"
    assert "2 sessions fetched" in _run(home, "archive", "pull").stdout
    assert _lines(home) == before
    assert dump(home / "sessions" / "sessions.db") == rows
    _check_index(home)


def _run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, words, env={"LUNAROUTE_HOME": str(home), "COLUMNS": "200", "TERM": "dumb"})


def test_the_commands_say_what_they_did_and_fail_where_something_is_wrong(home: Path, place: Place) -> None:
    script = _session("a", 3)
    _record(home, script, _session("b", 2), is_compressed=False)
    assert "2 sessions pushed and read back" in _run(home, "archive", "push", "--to", place.url).stdout
    listed = _run(home, "archive", "list", "--from", place.url, SECRET)
    assert script.session_id in listed.stdout
    assert _run(home, "archive", "list", "--from", place.url, "no-such-word").stdout.count("\n") == 1
    assert _run(home, "archive", "verify", "--from", place.url).exit_code == 0
    assert "0 sessions fetched" in _run(home, "archive", "pull", script.session_id, "--from", place.url).stdout
    place.damage(_entries(place)[0].key, b"x")
    failed = _run(home, "archive", "verify", "--from", place.url)
    assert (failed.exit_code, "it is not what was pushed" in failed.stderr) == (1, True)
    nowhere = _run(home, "archive", "push")
    assert (nowhere.exit_code, "archive.url" in nowhere.stderr) == (2, True)
    assert _run(home, "archive", "pull", "0", "--from", place.url).exit_code == 2


def test_a_place_that_is_none_is_one_line() -> None:
    with pytest.raises(LunarouteError, match="cannot open the archive"):
        ArchiveStore("nonsense://x")


def test_a_directory_may_be_a_url_and_what_is_there_stays(tmp_path: Path) -> None:
    store = ArchiveStore(f"{tmp_path.as_uri()}/a%20b")
    store.put("x/y", b"first")
    store.put("x/y", b"second")
    assert store.get("x/y") == (tmp_path / "a b" / "x" / "y").read_bytes() == b"first"
    assert store.get("x/z") is None


_DYING = """
import os, signal, sys, threading
from pathlib import Path
from lunaroute.archive import push, store
left = int(sys.argv[3])
files = {push.__file__, store.__file__}
def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename not in files:
        return None
    if event == "line":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace
archive = store.ArchiveStore(sys.argv[1])
threading.settrace(trace)
sys.settrace(trace)
getattr(push, sys.argv[4])(archive, Path(sys.argv[2]))
"""


def test_a_push_killed_anywhere_is_finished_by_the_next(home: Path, place: Place) -> None:
    _record(home, _session("a", 3), _session("b", 2))
    deaths = 0
    for step in range(10, 1000, 45):
        folder = place.beside(f"archive-{step}")
        words = [sys.executable, "-c", _DYING, folder.url, str(home / "sessions"), str(step), "push"]
        ended = subprocess.run(words, capture_output=True, env=dict(os.environ), timeout=60, check=False)
        for entry in _entries(folder):  # what a manifest names is there
            assert folder.read(entry.key)
        assert verify_archive(ArchiveStore(folder.url)).problems == []
        report = push(ArchiveStore(folder.url), home / "sessions")
        assert report.pushed_count + report.known_count == 2
        assert verify_archive(ArchiveStore(folder.url)).verified_count == 2
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        deaths += 1
    assert deaths > 2


def test_a_pull_killed_anywhere_leaves_each_session_as_it_was_or_whole(
    home: Path, place: Place, tmp_path: Path
) -> None:
    _record(home, _session("a", 3), _session("b", 2))
    here = home / "sessions"
    push(ArchiveStore(place.url), here)
    whole = _files(home)
    prune(Config(home=home, storage=StorageConfig(delete_bodies_after="0s")), NOW)
    bodiless = _files(home)
    assert bodiless != whole
    gone = min(bodiless)
    deaths = 0
    for step in range(20, 2000, 20):
        for name, data in bodiless.items():
            (here / name).write_bytes(data)
        (here / gone).unlink()
        words = [sys.executable, "-c", _DYING, place.url, str(here), str(step), "pull"]
        ended = subprocess.run(words, capture_output=True, env=dict(os.environ), timeout=60, check=False)
        for name, data in _files(home).items():
            assert data in (bodiless[name], whole[name]), "half a session"
        pull(ArchiveStore(place.url), here)
        assert _files(home) == whole
        assert list(here.rglob("*.pulled")) == []
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        deaths += 1
    assert deaths > 2


def _files(home: Path) -> dict[str, bytes]:
    here = home / "sessions"
    return {str(path.relative_to(here)): path.read_bytes() for _, path in session_files(here)}
