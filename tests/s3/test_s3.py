"""The archive's tests once more, in a bucket of a server that speaks S3."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.pricing import Pricer
from lunaroute.sinks.reprice import reprice
from tests.support.archives import Bucket, Place
from tests.support.server import wait_until

pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="no S3 server: make test-s3 installs one")

from tests.unit.archive.test_archive import *  # noqa: F403
from tests.unit.archive.test_archive import home  # noqa: F401
from tests.unit.archive.test_pusher import *  # noqa: F403
from tests.unit.archive.test_retention import NOW, _record, _session

pytestmark = pytest.mark.s3

# Of directories:
del test_a_push_killed_anywhere_is_finished_by_the_next  # noqa: F821
del test_an_archive_that_cannot_be_reached_is_said_once_and_tried_until_it_can  # noqa: F821


def test_a_bucket_with_versions_and_locked_objects_is_respected(
    home: Path,  # noqa: F811
    endpoint: str,
    place: Place,
) -> None:
    """Nothing in an archive is written over or deleted, so a bucket that keeps versions and forbids both is one like
    any other."""
    assert isinstance(place, Bucket)
    s3 = pytest.importorskip("boto3").client("s3", endpoint_url=endpoint)
    bucket = f"{place.name}-locked"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    _record(home, _session("a", 3), _session("b", 2))
    here, url = home / "sessions", f"s3://{bucket}/recordings"
    store = ArchiveStore(url)
    assert push(store, here).pushed_count == 2
    until = datetime.now(UTC) + timedelta(days=1)
    for version in s3.list_object_versions(Bucket=bucket)["Versions"]:
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        s3.put_object_retention(Bucket=bucket, Key=version["Key"], Retention=retention)
    push(store, here, is_checked=True)
    reprice(here, here / "sessions.db", Pricer({"anthropic/*": {"input_mtok": 999.0}}))
    push(store, here)
    storage, archive = StorageConfig(delete_bodies_after="0s"), ArchiveConfig(url=url)
    assert prune(Config(home=home, storage=storage, archive=archive), NOW).bodies_deleted == 2
    assert verify_archive(store).problems == []
    assert len(pull(store, here).session_ids) == 2
    found = s3.list_object_versions(Bucket=bucket)
    keys = [version["Key"] for version in found["Versions"]]
    assert len(keys) >= 4
    assert len(keys) == len(set(keys)), "an object has a second version"
    assert not found.get("DeleteMarkers")


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
