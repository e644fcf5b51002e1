"""[io] The other end of the live socket, for who only waits for something to be recorded."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from .address import connectable
from .wire import Hello, encode

_RECONNECT_S = 0.25


class Wakeups:
    """Tells when the feed has grown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: socket.socket | None = None
        self._connect_at = 0.0

    def wait(self, longest_s: float) -> None:
        """Until something was recorded, `longest_s` at most."""
        connection = self._connected()
        if connection is None:
            time.sleep(longest_s)
            return
        connection.settimeout(longest_s)
        try:
            if not connection.recv(65536):
                self.close()
        except TimeoutError:
            return
        except OSError:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket | None:
        if self._connection is None and time.monotonic() >= self._connect_at:
            self._connect_at = time.monotonic() + _RECONNECT_S
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                with connectable(self._path) as address:
                    connection.connect(address)
                connection.sendall(encode(Hello(with_exchanges=False)))
                self._connection = connection
            except OSError:
                connection.close()
        return self._connection
