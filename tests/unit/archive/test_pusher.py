"""Sessions go into the archive by themselves, also when it could not be reached for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from lunaroute.archive.pusher import Pusher
from lunaroute.archive.store import ArchiveStore
from lunaroute.config import ArchiveConfig, Config
from lunaroute.sinks.layout import plain_path
from tests.builders import SessionScript
from tests.support.archives import Directory, Place
from tests.unit.archive.test_retention import _record


def _session(name: str, *, is_over: bool = True) -> SessionScript:
    """One that ended some seconds ago."""
    script = SessionScript(name, datetime.now(UTC) - timedelta(seconds=20)).turn()
    return script.complete() if is_over else script


class Setting:
    """A pusher whose clock the test moves."""

    def __init__(self, home: Path, url: str, push_after: str = "0s") -> None:
        self.now_s = 0.0
        self.said: list[str] = []
        config = Config(home=home, archive=ArchiveConfig(url=url, push_after=push_after))
        self.pusher = Pusher(config, self.said.append, lambda _done, _total: True, lambda: self.now_s)

    def look(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.pusher.look()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Directory(tmp_path / "archive")


def _there(place: Place) -> set[str]:
    return set(ArchiveStore(place.url).entries())


def test_what_is_over_at_the_start_and_what_ends_later_is_pushed_once(home: Path, place: Place) -> None:
    before, live = _session("before"), _session("live", is_over=False)
    _record(home, before, live)
    setting = Setting(home, place.url)
    setting.look()
    assert _there(place) == {before.session_id}
    later = _session("later")
    _record(home, later)
    setting.look(1)  # too early: what ends in a while goes together
    assert _there(place) == {before.session_id}
    setting.look(60)
    assert _there(place) == {before.session_id, later.session_id}
    manifests = len(list(ArchiveStore(place.url)._keys("manifests/")))
    setting.look(60)
    assert len(list(ArchiveStore(place.url)._keys("manifests/"))) == manifests
    assert setting.said == []


def test_an_archive_that_cannot_be_reached_is_said_once_and_tried_until_it_can(home: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the archive should be")
    one = _session("one")
    _record(home, one)
    setting = Setting(home, str(tmp_path / "archive"))
    for _ in range(5):
        setting.look(1000)
    (line,) = setting.said
    assert line.startswith("nothing pushed: ")
    (tmp_path / "archive").unlink()
    two = _session("two")
    _record(home, two)
    setting.look(1000)
    assert _there(Directory(tmp_path / "archive")) == {one.session_id, two.session_id}


def test_a_session_that_cannot_be_pushed_does_not_hold_the_others(home: Path, place: Place) -> None:
    setting = Setting(home, place.url)
    setting.look()
    good, bad = _session("good"), _session("bad")
    _record(home, good, bad, is_compressed=False)
    path = plain_path(home / "sessions", bad.session_id)
    whole = path.read_bytes()
    path.with_suffix(".jsonl.zst").write_bytes(b"not what lunaroute compressed")
    path.unlink()
    setting.look(60)
    assert _there(place) == {good.session_id}
    assert [line.split(": ")[0] for line in setting.said] == ["not pushed"]
    path.with_suffix(".jsonl.zst").unlink()
    path.write_bytes(whole)
    setting.look(60)
    assert _there(place) == {good.session_id, bad.session_id}


def test_without_an_archive_or_a_wish_nothing_happens(home: Path, place: Place) -> None:
    _record(home, _session("one"))
    setting = Setting(home, place.url, push_after="never")
    setting.look()
    assert _there(place) == set()
    config = Config(home=home, archive=ArchiveConfig(push_after="0s"))
    Pusher(config, setting.said.append, lambda _done, _total: True).look()
    assert setting.said == []


def test_the_head_of_the_chain_and_the_hashes_are_in_the_manifest(home: Path, place: Place) -> None:
    one = _session("one")
    _record(home, one)
    Setting(home, place.url).look()
    entry = ArchiveStore(place.url).entries_of([one.session_id])[one.session_id]
    fields = msgspec.to_builtins(entry)
    assert all(len(fields[name]) == 64 for name in ("sha256", "plain_sha256", "head"))
