"""Servers that speak S3, one after the other, and a bucket of each test's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.archives import Bucket, Place
from tests.support.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedServer, seaweed_program
from tests.support.server import wait_until

_GIVEN = "TEST_S3_ENDPOINT"
"""Names a server of somebody's own, which AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY open."""


def _servers() -> list[str]:
    if _GIVEN in os.environ:
        return ["given"]
    return ["moto"] if seaweed_program() is None else ["moto", "seaweed"]


@pytest.fixture(scope="module", params=_servers())
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    match request.param:
        case "given":
            yield os.environ[_GIVEN]
        case "moto":
            yield from _moto(tmp_path_factory.mktemp("moto") / "log")
        case _:
            program = seaweed_program()
            assert program is not None
            with SeaweedServer(program) as server:
                yield server.endpoint


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of it, and the environment for ours."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    if _GIVEN not in os.environ:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return pytest.importorskip("boto3").client("s3", endpoint_url=endpoint)


@pytest.fixture
def place(s3: Any) -> Place:
    name = f"test-{uuid4()}"
    s3.create_bucket(Bucket=name)
    return Bucket(name)


def _moto(log: Path) -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with log.open("wb") as output:
        words = [sys.executable, "-m", "tests.s3.moto_server", str(port)]
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
