"""The archive's tests once more, in a bucket of a server that speaks S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.cli import cli
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.pricing import Pricer
from lunaroute.sinks.reprice import reprice
from tests.support.archives import Place

pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="no S3 server: make test-s3 installs one")

from tests.unit.archive.test_archive import *  # noqa: F403
from tests.unit.archive.test_archive import home  # noqa: F401
from tests.unit.archive.test_pusher import *  # noqa: F403
from tests.unit.archive.test_retention import NOW, _record, _session

from .conftest import place  # noqa: F401  a bucket, for those tests too

pytestmark = pytest.mark.s3

# Of a directory:
del test_an_archive_that_cannot_be_reached_is_said_once_and_tried_until_it_can  # noqa: F821


@pytest.mark.parametrize("by", ["whoever puts", "the bucket"])
def test_a_bucket_with_versions_and_locked_objects_is_respected(
    home: Path,  # noqa: F811
    s3: Any,
    place: Place,  # noqa: F811
    by: str,
) -> None:
    """Nothing in an archive is written over or deleted, so a bucket that keeps versions and forbids both is one like
    any other, also where it locks each object by itself."""
    bucket = f"{place.url.split('/')[2]}-locked"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    if by == "the bucket":
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    _record(home, _session("a", 3), _session("b", 2))
    here, url = home / "sessions", f"s3://{bucket}/recordings"
    store = ArchiveStore(url)
    assert push(store, here).pushed_count == 2
    if by == "whoever puts":
        until = datetime.now(UTC) + timedelta(days=1)
        for key, version in _versions(s3, bucket):
            retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
            s3.put_object_retention(Bucket=bucket, Key=key, VersionId=version, Retention=retention)
    for key, version in _versions(s3, bucket):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    push(store, here, is_checked=True)
    reprice(here, here / "sessions.db", Pricer({"anthropic/*": {"input_mtok": 999.0}}))
    push(store, here)
    storage, archive = StorageConfig(delete_bodies_after="0s"), ArchiveConfig(url=url)
    assert prune(Config(home=home, storage=storage, archive=archive), NOW).bodies_deleted == 2
    assert verify_archive(store).problems == []
    assert len(pull(store, here).session_ids) == 2
    keys = [key for key, _ in _versions(s3, bucket)]
    assert len(keys) >= 4
    assert len(keys) == len(set(keys)), "an object has a second version"
    assert not s3.list_object_versions(Bucket=bucket).get("DeleteMarkers")


def test_what_somebody_hid_in_a_bucket_with_versions_is_missed_and_pushed_again(
    home: Path,  # noqa: F811
    s3: Any,
    place: Place,  # noqa: F811
) -> None:
    """A delete that names no version is allowed there, whatever is locked: it hides the object behind a marker."""
    bucket = f"{place.url.split('/')[2]}-hidden"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    _record(home, _session("a", 3), _session("b", 2))
    store = ArchiveStore(f"s3://{bucket}")
    assert push(store, home / "sessions").left_alone == []
    hidden, _ = store.entries().values()
    s3.delete_object(Bucket=bucket, Key=hidden.key)
    assert verify_archive(store).problems == [f"{hidden.key}: it is missing"]
    archive = ArchiveConfig(url=f"s3://{bucket}")
    assert push(store, home / "sessions", is_checked=True).pushed_count == 1
    assert verify_archive(store).problems == []
    config = Config(home=home, storage=StorageConfig(delete_sessions_after="0s"), archive=archive)
    assert prune(config, NOW).sessions_deleted == 2
    assert len(pull(store, home / "sessions").session_ids) == 2


def test_a_bucket_that_is_not_there_is_one_line(home: Path) -> None:  # noqa: F811
    _record(home, _session("a", 3))
    for words in (["push", "--to"], ["verify", "--from"]):
        result = CliRunner().invoke(cli, ["archive", *words, "s3://nobody-made-this/x"], env=_reader(home))
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
        assert "archive" in result.stderr


def _reader(home: Path) -> dict[str, str]:  # noqa: F811
    return {"LUNAROUTE_HOME": str(home), "COLUMNS": "200", "TERM": "dumb"}


def _versions(s3: Any, bucket: str) -> list[tuple[str, str]]:
    """(key, version) of all that the bucket keeps."""
    return [(one["Key"], one["VersionId"]) for one in s3.list_object_versions(Bucket=bucket)["Versions"]]
