"""Run `lunaroute serve` in a process of its own, pointed at a simulated provider.

In: a home folder, a port, the provider's address. Out: a server that answers its health check; it is
stopped in an orderly way when the block ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lunaroute.errors import StartError

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.05


class RunningServer:
    """A `lunaroute serve` process. `stop` may be called more than once."""

    def __init__(self, port: int, ui_port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.dashboard_url = f"http://127.0.0.1:{ui_port}/"
        self.process = process
        self.log = log

    def stop(self) -> None:
        """SIGTERM, and wait: every open session is completed and written. Raises StartError if it does not end."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise StartError(f"the server did not stop within {_STOP_TIMEOUT_S:.0f} s; its log: {self.log}") from error


@contextmanager
def start_server(home: Path, port: int, provider_url: str) -> Iterator[RunningServer]:
    """A server that is ready when the block begins. Raises StartError, OSError."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "demo-server.log"
    command = [sys.executable, "-m", "lunaroute", "serve", f"--home={home}", f"--port={port}"]
    for provider in ("anthropic", "openai"):
        command.append(f"--upstream={provider}={provider_url}")
    ui_port = free_port(8082)
    environment = _environment(ui_port)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    server = RunningServer(port, ui_port, process, log)
    try:
        _wait_until_healthy(server)
        yield server
    finally:
        server.stop()


def free_port(preferred: int | None = None) -> int:
    """`preferred` if nobody listens there, else any free port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred or 0))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(ui_port: int) -> dict[str, str]:
    """The demo shall not inherit the settings of the user's real recordings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LUNAROUTE_")}
    return inherited | {"LUNAROUTE_UI_PORT": str(ui_port)}


def _wait_until_healthy(server: RunningServer) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if server.process.poll() is not None:
            last = server.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise StartError(f"the server did not start: {last[0]} (log: {server.log})")
        if _is_healthy(server.base_url):
            return
        time.sleep(_POLL_S)
    raise StartError(f"the server was not ready within {_START_TIMEOUT_S:.0f} s; its log: {server.log}")


def _is_healthy(base_url: str) -> bool:
    # No proxy: a system-wide HTTP proxy must not be asked for a loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url}/lunaroute/health", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
