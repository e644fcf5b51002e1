"""The object store of the fleet's tests: a server that speaks S3, in a process of its own that can be killed.

Which one it is, is for `object_store` to say; the tests know the protocol.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pytest

from tests.support.server import wait_until
from tests.support.zookeeper import free_port

_BUCKET = "fleet"
_PATIENCE_S = 60.0


class ObjectStore(Protocol):
    url: str
    """Of the archive in it."""
    variables: dict[str, str]
    """The environment of those who use it."""
    keeps_objects: bool
    """What was put is there after `kill` and `start`."""

    def __enter__(self) -> ObjectStore: ...
    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...
    def kill(self) -> None:
        """SIGKILL."""

    def start(self) -> None:
        """Start again after `kill`; with the bucket, whatever else was lost."""


def object_store(folder: Path) -> ObjectStore:
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server", reason="no S3 server: make test-fleet LONG=1 installs one")
    return MotoStore(folder)


class MotoStore:
    """Has everything in memory: what was in it is gone with its process."""

    url = f"s3://{_BUCKET}/recordings"
    keeps_objects = False

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._log = folder / "moto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint = f"http://127.0.0.1:{self._port}"
        self.variables = {
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> MotoStore:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._has_bucket, _PATIENCE_S)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_PATIENCE_S)

    def _has_bucket(self) -> bool:
        try:
            request = urllib.request.Request(f"{self._endpoint}/{_BUCKET}", b"", method="PUT")
            urllib.request.urlopen(request, timeout=30).close()
        except OSError:
            return False
        return True
