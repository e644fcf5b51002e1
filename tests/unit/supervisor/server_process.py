"""A supervisor over fake children, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from lunaroute.supervisor.instance import ServerInfo, read_info

_FAKE_SERVER = Path(__file__).parent / "fake_server.py"
TIMEOUT_S = 15.0


def fake_server_command(home: Path, port: int = 0, workers: int = 1, grace_s: float = 0.2, *words: str) -> list[str]:
    return [sys.executable, str(_FAKE_SERVER), str(home), str(port), str(workers), str(grace_s), *words]


class ServerProcess:
    """One running fake server."""

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.process = process

    @property
    def info(self) -> ServerInfo:
        info = read_info(self.home / "run")
        assert info is not None
        return info

    @property
    def journal(self) -> list[str]:
        path = self.home / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def get(self, path: str = "/") -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.info.port}{path}", timeout=TIMEOUT_S) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def make_worker_exit(self) -> None:
        """The worker that takes this connection ends at once."""
        with closing(socket.create_connection(("127.0.0.1", self.info.port))) as connection:
            connection.sendall(b"GET /exit HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Send the signal and wait. Returns what the server said on stderr."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=TIMEOUT_S)[1]


@contextmanager
def running(command: list[str], home: Path | None = None) -> Iterator[ServerProcess]:
    """The server, ready for use; ended at the latest with the block. `home`, if not the command's third word."""
    home = home or Path(command[2])
    process = start(command)
    try:
        wait_until(lambda: read_info(home / "run") is not None or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        yield ServerProcess(home, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=TIMEOUT_S)


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
