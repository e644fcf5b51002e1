"""The health probe: one `GET /lunaroute/health` that never blocks.

In: an address and the run_id that is expected there. Out: True when that run answered 200, False when something
else happened, None while nothing is decided.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Literal

HEALTH_PATH = "/lunaroute/health"
_MAX_ANSWER_BYTES = 65536
_NOT_RECORDING = b'"not_recording"'  # comes before the run's id

RelayState = Literal["recording", "not recording"]


def client_host(host: str) -> str:
    """Where a client on this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def base_url(host: str, port: int) -> str:
    """The relay's address for clients on this machine, without a slash at the end."""
    reachable = client_host(host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class HealthProbe:
    """One probe. Raises OSError when nobody listens."""

    def __init__(self, host: str, port: int, run_id: str, connect_timeout_s: float = 1.0) -> None:
        self._run_id = run_id.encode()
        self._answer = b""
        self._socket = socket.create_connection((client_host(host), port), timeout=connect_timeout_s)
        try:
            self._socket.sendall(
                f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: {client_host(host)}:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bool | None:
        """Take in what arrived. Call it when the probe's descriptor is readable."""
        try:
            data = self._socket.recv(_MAX_ANSWER_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return False
        self._answer += data
        if self._run_id in self._answer:
            return self._answer.startswith(b"HTTP/1.1 200")
        return None if data and len(self._answer) < _MAX_ANSWER_BYTES else False

    @property
    def is_recording(self) -> bool:
        """Whether the worker that answered can write its spool."""
        return _NOT_RECORDING not in self._answer

    def close(self) -> None:
        self._socket.close()


def is_healthy(host: str, port: int, run_id: str, timeout_s: float) -> bool:
    """Whether the relay of this run answers within the time."""
    return relay_state(host, port, run_id, timeout_s) is not None


def relay_state(host: str, port: int, run_id: str, timeout_s: float) -> RelayState | None:
    """What the worker that answers says of itself; None when none of this run does within the time."""
    deadline_s = time.monotonic() + timeout_s
    try:
        probe = HealthProbe(host, port, run_id, connect_timeout_s=timeout_s)
    except OSError:
        return None
    try:
        answer: bool | None = None
        while answer is None:
            readable, _, _ = select.select([probe], [], [], max(0.0, deadline_s - time.monotonic()))
            answer = probe.read() if readable else False
        if not answer:
            return None
        return "recording" if probe.is_recording else "not recording"
    finally:
        probe.close()
