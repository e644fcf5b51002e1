"""Arize Phoenix, a receiver of OpenTelemetry, as a process of its own over an empty folder (`make test-otel`)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.docs.snippets import REPOSITORY
from tests.support.server import wait_until

INSTALLED = REPOSITORY / "build" / "otel"
_START_S = 180.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Phoenix:
    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        with suppress(OSError), _DIRECT.open(f"{self.endpoint}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def spans(self) -> list[dict[str, Any]]:
        """Everything it has stored, as its API tells it."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            url = f"{self.endpoint}/v1/projects/default/spans?limit=500{cursor and f'&cursor={cursor}'}"
            with _DIRECT.open(url, timeout=30) as answer:
                page = json.load(answer)
            found += page["data"]
            if not page.get("next_cursor"):
                return found
            cursor = page["next_cursor"]


@contextmanager
def running_phoenix(folder: Path) -> Iterator[Phoenix]:
    port, grpc_port = _free_port(), _free_port()
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LUNAROUTE_", "PHOENIX_"))}
    environment = ours | {
        "PYTHONPATH": str(INSTALLED),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "phoenix.server.main", "serve"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        phoenix = Phoenix(port)
        wait_until(lambda: phoenix.is_up() or process.poll() is not None, _START_S)
        assert process.poll() is None, (folder / "log").read_text(errors="replace")
        yield phoenix
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
