"""The archive's tests once more, in a bucket of a server that speaks S3."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.pricing import Pricer
from lunaroute.sinks.reprice import reprice
from tests.support.archives import Bucket, Place
from tests.support.server import wait_until

pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="no S3 server: make test-s3 installs one")

from tests.unit.archive.test_archive import *  # noqa: F403
from tests.unit.archive.test_archive import home  # noqa: F401

pytestmark = pytest.mark.s3

del test_a_push_killed_anywhere_is_finished_by_the_next  # noqa: F821  (of directories)


def test_a_bucket_with_versions_and_locked_objects_is_respected(home: Path, endpoint: str, place: Place) -> None:  # noqa: F811
    """Nothing in an archive is written over or deleted, so a bucket that forbids both (object lock, which brings
    versioning with it) is one like any other."""
    assert isinstance(place, Bucket)
    _turn_on(
        endpoint,
        place.name,
        "versioning",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    )
    _record(home, _session("a", 3), _session("b", 2))  # noqa: F405
    store = ArchiveStore(place.url)  # noqa: F405
    assert push(store, home / "sessions").pushed_count == 2  # noqa: F405
    push(store, home / "sessions", is_checked=True)  # noqa: F405
    reprice(home / "sessions", home / "sessions" / "sessions.db", Pricer({"anthropic/*": {"input_mtok": 999.0}}))
    push(store, home / "sessions")  # noqa: F405
    prune(Config(home=home, storage=StorageConfig(delete_bodies_after="0s"), archive=ArchiveConfig(url=place.url)), NOW)  # noqa: F405
    assert verify_archive(store).problems == []  # noqa: F405
    assert len(pull(store, home / "sessions").session_ids) == 2  # noqa: F405
    listed = urllib.request.urlopen(f"{endpoint}/{place.name}?versions", timeout=30).read().decode()
    keys = re.findall("<Key>([^<]*)</Key>", listed)
    assert len(keys) > 4
    assert len(keys) == len(set(keys)), "an object has a second version"
    assert "<DeleteMarker>" not in listed


def _turn_on(endpoint: str, bucket: str, what: str, document: str) -> None:
    request = urllib.request.Request(f"{endpoint}/{bucket}?{what}", document.encode(), method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TEST_S3_ENDPOINT, where somebody runs a server of his own; else one of moto's."""
    given = os.environ.get("TEST_S3_ENDPOINT")
    if given:
        yield given
        return
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: _answers(port) or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def place(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    name = "".join(char if char.isalnum() else "-" for char in tmp_path.name.lower())
    return Bucket(endpoint, name.strip("-")[-40:].strip("-"))
