"""The object store of the fleet's tests: a server that speaks S3, in a process of its own that can be killed.

Which one it is, is for `object_store` to say; the tests know the protocol.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pytest

from tests.support.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedServer, seaweed_program
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
    """SeaweedFS where TEST_SEAWEED names its program, else moto."""
    pytest.importorskip("obstore")
    pytest.importorskip("boto3", reason="no S3 client to make a bucket with: make test-fleet LONG=1 installs one")
    program = seaweed_program()
    if program is not None:
        return SeaweedStore(program)
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
        self.variables = _variables(f"http://127.0.0.1:{self._port}", "testing", "testing")

    def __enter__(self) -> MotoStore:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._listens, _PATIENCE_S)
        _make_bucket(self.variables)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_PATIENCE_S)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except OSError:
            return False
        return True


class SeaweedStore:
    """SeaweedFS: what is killed is its volume server, which has the objects."""

    url = f"s3://{_BUCKET}/recordings"
    keeps_objects = True

    def __init__(self, program: Path) -> None:
        self._server = SeaweedServer(program)
        self.variables = _variables(self._server.endpoint, ACCESS_KEY, SECRET_KEY)

    def __enter__(self) -> SeaweedStore:
        self._server.__enter__()
        _make_bucket(self.variables)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.__exit__()

    def kill(self) -> None:
        self._server.kill("volume")

    def start(self) -> None:
        self._server.start("volume")


def _variables(endpoint: str, key: str, secret: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }


def _make_bucket(variables: dict[str, str]) -> None:
    client = pytest.importorskip("boto3").client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    client.create_bucket(Bucket=_BUCKET)
