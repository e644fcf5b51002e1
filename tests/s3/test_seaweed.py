"""An archive on SeaweedFS, of which a part dies, or whose disk rots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest
from click.testing import CliRunner

from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.cli import cli
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from tests.support.archives import Bucket, Place
from tests.support.seaweed import SeaweedServer, seaweed_program
from tests.unit.archive.test_retention import NOW, _record, _session, _state

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedServer]:
    program = seaweed_program()
    if program is None:
        pytest.skip("no SeaweedFS: make test-s3 LONG=1 builds it where there is Go")
    with SeaweedServer(program) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(seaweed: SeaweedServer) -> str:
    return seaweed.endpoint


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    _record(folder, *(_session(f"s{number}", number) for number in range(1, 9)))
    return folder


def _lines(home: Path) -> dict[str, list[bytes]]:
    return {session_id: list(read_lines(path)) for session_id, path in session_files(home / "sessions")}


def test_a_volume_server_that_dies_in_the_middle_of_a_push_costs_nothing(
    seaweed: SeaweedServer, home: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, store = _lines(home), ArchiveStore(place.url)
    really_put, counting, puts = ArchiveStore.put, Lock(), 0
    restarts: list[Thread] = []

    def put(self: ArchiveStore, key: str, data: bytes) -> None:
        nonlocal puts
        with counting:
            puts += 1
            if puts == 4:
                seaweed.kill("volume")
                restarts.append(Thread(target=seaweed.start, args=["volume"]))
                restarts[0].start()
        really_put(self, key, data)

    monkeypatch.setattr(ArchiveStore, "put", put)
    report = push(store, home / "sessions")
    assert restarts
    restarts[0].join()
    assert verify_archive(store).problems == [], "a manifest names what is not there"
    assert verify_archive(store).verified_count == report.pushed_count
    assert report.pushed_count + len(report.left_alone) == len(before)
    again = push(store, home / "sessions")
    assert (again.known_count, again.left_alone) == (report.pushed_count, [])
    fresh = home.with_name("fresh")
    assert pull(store, fresh / "sessions").problems == []
    assert _lines(fresh) == before


def test_a_byte_that_rots_on_its_disk_is_found_and_the_rest_comes_back(
    seaweed: SeaweedServer, home: Path, place: Bucket
) -> None:
    """The server knows it too, and answers with an error or breaks off: no object of it is one that is right."""
    before, store = _lines(home), ArchiveStore(place.url)
    push(store, home / "sessions")
    rotten, *_ = store.entries().values()
    _rot(seaweed.volumes(place.name), place.read(rotten.key))
    report = verify_archive(store)
    assert (report.damaged_ids, report.verified_count) == ([rotten.session_id], len(before) - 1)
    fresh = home.with_name("fresh")
    pulled = pull(store, fresh / "sessions")
    assert len(pulled.problems) == 1
    assert _lines(fresh) == {name: lines for name, lines in before.items() if name != rotten.session_id}
    archive = ArchiveConfig(url=place.url)
    config = Config(home=home, storage=StorageConfig(delete_bodies_after="0s"), archive=archive)
    assert prune(config, NOW).left_alone == [f"{rotten.session_id}: it is not in the archive as it is here"]
    assert _state(home)[rotten.session_id] == "whole"
    assert push(store, home / "sessions", is_checked=True).pushed_count == 1
    assert verify_archive(store).problems == []
    assert pull(store, fresh / "sessions").session_ids == [rotten.session_id]
    assert _lines(fresh) == before


def test_a_key_that_does_not_open_it_is_one_line(
    home: Path, place: Place, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    environment = {"LUNAROUTE_HOME": str(home), "COLUMNS": "200", "TERM": "dumb"}
    for words in (["push", "--to"], ["verify", "--from"], ["list", "--from"], ["pull", "--from"]):
        result = CliRunner().invoke(cli, ["archive", *words, place.url], env=environment)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
        assert "SignatureDoesNotMatch" in result.stderr
    assert set(_state(home).values()) == {"whole"}


def _rot(volumes: list[Path], data: bytes) -> None:
    """One bit of an object changes in the volume that has it."""
    for volume in volumes:
        at = volume.read_bytes().find(data)
        if at >= 0:
            with volume.open("r+b") as file:
                file.seek(at + len(data) // 2)
                file.write(bytes([data[len(data) // 2] ^ 1]))
            return
    raise AssertionError("no volume has the object")
