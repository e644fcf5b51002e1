"""[io] The other end of the live socket: for watchers with an event loop, and for those that only wait.

A recorder that is not there, or ends, is waited for; who watches need not know.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from .address import connectable
from .wire import Hello, Update, encode, read_update

RECONNECT_S = 0.25
_MAX_LINE_BYTES = 256 << 20


async def updates(path: Path, hello: Hello) -> AsyncIterator[Update | None]:
    """What the recorder says, without end; None = it is not there, and all that was in flight is unknown."""
    while True:
        with suppress(OSError, ValueError):
            async for update in _of_connection(path, hello):
                yield update
        yield None
        await asyncio.sleep(RECONNECT_S)


async def _of_connection(path: Path, hello: Hello) -> AsyncIterator[Update]:
    with connectable(path) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=_MAX_LINE_BYTES)
    try:
        writer.write(encode(hello))
        while line := await reader.readline():
            yield read_update(line)
    finally:
        writer.close()


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
            self._connect_at = time.monotonic() + RECONNECT_S
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                with connectable(self._path) as address:
                    connection.connect(address)
                connection.sendall(encode(Hello(with_exchanges=False)))
                self._connection = connection
            except OSError:
                connection.close()
        return self._connection
