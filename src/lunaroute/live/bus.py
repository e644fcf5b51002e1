"""[io] The recorder's end of the live socket: takes watchers in, and sends each what it lacks when it can take more.

Never blocks, and does nothing while nobody watches. A watcher whose line is full is left alone until it has read.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from .address import connectable
from .catch_up import CatchUp, Flight
from .wire import Hello, encode, read_hello

LOOK_EVERY_S = 0.02
"""Between two updates of a watcher: more often nobody could read."""
_MAX_WATCHERS = 64
_MAX_HELLO_BYTES = 4096


class _Watcher:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.hello: Hello | None = None
        self.heard = b""
        self.unsent = memoryview(b"")
        self.catch_up = CatchUp()


class LiveBus:
    """open() → turn()* → close()."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None
        self._watchers: list[_Watcher] = []
        self._look_at = 0.0

    def open(self) -> None:
        """Listen, for processes of the same user. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._path.unlink()  # of a recorder that was killed; there is never another one (its lock)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            with connectable(self._path) as address:
                listener.bind(address)
            os.chmod(self._path, 0o600)
            listener.listen(_MAX_WATCHERS)
        except BaseException:
            listener.close()
            raise
        self._listener = listener

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with suppress(OSError):
                self._path.unlink()
        for watcher in self._watchers:
            watcher.connection.close()
        self._watchers = []

    @property
    def is_watched(self) -> bool:
        return bool(self._watchers)

    @property
    def wants_exchanges(self) -> bool:
        return any(watcher.hello is not None and watcher.hello.with_exchanges for watcher in self._watchers)

    def fds(self) -> Iterator[int]:
        """What to wait for reading on: someone comes, or says something."""
        if self._listener is not None:
            yield self._listener.fileno()
        yield from (watcher.connection.fileno() for watcher in self._watchers)

    def is_due(self) -> bool:
        """Take in who waits; whether it is time to look what is new."""
        if self._listener is None:
            return False
        self._accept()
        if not self._watchers:
            return False
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY_S
        for watcher in list(self._watchers):
            self._hear(watcher)
        return bool(self._watchers)

    def send(self, flights: Mapping[str, Flight], feed_end: int) -> None:
        """Bring every watcher up to date that has read what it got so far."""
        for watcher in list(self._watchers):
            if watcher.hello is None:
                continue
            if not watcher.unsent:
                wanted = flights if watcher.hello.with_exchanges else {}
                update = watcher.catch_up.update(wanted, feed_end)
                watcher.unsent = memoryview(b"" if update is None else encode(update))
            self._send(watcher)

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                return  # no descriptors left: nobody may stop the recording by watching it
            connection.setblocking(False)
            if len(self._watchers) >= _MAX_WATCHERS:
                connection.close()
                continue
            self._watchers.append(_Watcher(connection))

    def _hear(self, watcher: _Watcher) -> None:
        try:
            data = watcher.connection.recv(_MAX_HELLO_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(watcher)
            return
        if watcher.hello is not None:
            return
        watcher.heard += data
        line, newline, _ = watcher.heard.partition(b"\n")
        try:
            if newline:
                watcher.hello = read_hello(line)
            elif len(line) > _MAX_HELLO_BYTES:
                self._drop(watcher)
        except ValueError:
            self._drop(watcher)

    def _send(self, watcher: _Watcher) -> None:
        try:
            while watcher.unsent:
                watcher.unsent = watcher.unsent[watcher.connection.send(watcher.unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(watcher)

    def _drop(self, watcher: _Watcher) -> None:
        watcher.connection.close()
        self._watchers.remove(watcher)
