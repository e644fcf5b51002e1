"""What a store is told, and what one that fails does to the rest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lunaroute.archive.push import pull, push, verified, verify_archive
from lunaroute.archive.store import ArchiveStore
from lunaroute.errors import LunarouteError
from tests.unit.archive.test_retention import _record, _session


class _LockedBucket(BaseHTTPRequestHandler):
    """Takes what a bucket with a default retention takes: "Content-MD5 OR x-amz-checksum- HTTP header is required for
    Put Object requests with Object Lock parameters"."""

    taken: dict[str, bytes]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_right = self.headers["x-amz-checksum-sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
        if is_right:
            self.taken[self.path] = body
        self.send_response(200 if is_right else 400)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """What is in it: path → bytes."""
    _LockedBucket.taken = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _LockedBucket)
    thread = Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    environment = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "ALLOW_HTTP": "true"}
    environment |= {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1"}
    for name, value in environment.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_CHECKSUM_ALGORITHM", raising=False)
    yield _LockedBucket.taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_that_wants_a_checksum_gets_one(bucket: dict[str, bytes]) -> None:
    ArchiveStore("s3://locked/some/prefix").put("day/one", b"said")
    assert bucket == {"/locked/some/prefix/day/one": b"said"}


def test_an_object_that_cannot_be_read_is_damaged_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "home" / "sessions"
    scripts = [_session(f"s{number}", number) for number in range(1, 4)]
    _record(tmp_path / "home", *scripts)
    store = ArchiveStore(str(tmp_path / "archive"))
    push(store, here)
    broken, *whole = store.entries().values()
    really_get = ArchiveStore.get

    def get(self: ArchiveStore, key: str) -> bytes | None:
        if key == broken.key:
            raise LunarouteError(f"cannot read {key} from the archive: the checksum of its block is wrong")
        return really_get(self, key)

    monkeypatch.setattr(ArchiveStore, "get", get)
    report = verify_archive(store)
    assert (report.damaged_ids, report.verified_count) == ([broken.session_id], 2)
    assert "checksum of its block" in report.problems[0]
    ids = {entry.session_id for entry in (broken, *whole)}
    assert verified(store, here, ids) == ids - {broken.session_id}
    fresh = tmp_path / "fresh" / "sessions"
    pulled = pull(store, fresh)
    assert (set(pulled.session_ids), len(pulled.problems)) == (ids - {broken.session_id}, 1)
    assert push(store, here, is_checked=True).pushed_count == 1
    assert verify_archive(store).problems == []
    assert pull(store, fresh).session_ids == [broken.session_id]
