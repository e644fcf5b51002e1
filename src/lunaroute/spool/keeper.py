"""[io] A lane's keeper: a process beside the writer's that takes from it what costs time and need not happen at once.

Sending hundreds of megabytes a second to the disk costs CPU time, and whoever calls `fdatasync` pays it; so does the
first write to each page of a new file. The keeper does both: it syncs the writer's segments when told, and has segments
ready whose pages exist (`reserve`). The descriptors are the writer's own, so it hears of an error of the disk as if it
had synced by itself. A keeper that is gone is replaced; the writer's process syncs in its stead meanwhile.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from .reserve import keep_ready
from .syncing import Order, Orders, Unsynced, carry_out, sync_here

_MAX_DESCRIPTORS = 200  # in a message; Linux takes 253 (SCM_MAX_FD)
_REPLY_BYTES = 4


class Keeper:
    """The writer's side. One per lane, used by one task."""

    def __init__(self, lane_dir: Path, segment_bytes: int) -> None:
        self._arguments = [str(lane_dir), str(segment_bytes)]
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        with suppress(OSError):
            self._start()

    async def sync(self, unsynced: Unsynced) -> None:
        """Make it survive a power loss. Raises OSError when the disk refuses."""
        if self._socket is None:
            await asyncio.get_running_loop().run_in_executor(None, sync_here, unsynced)
            with suppress(OSError):
                self._start()
            return
        with Orders(unsynced) as orders:
            for at in range(0, len(orders), _MAX_DESCRIPTORS):
                await self._hand_over(orders[at : at + _MAX_DESCRIPTORS])

    async def _hand_over(self, orders: list[Order]) -> None:
        loop = asyncio.get_running_loop()
        reply = b""
        if self._socket is not None:  # else it went with an earlier part
            with suppress(OSError):
                socket.send_fds(self._socket, [b"".join(what for what, _ in orders)], [fd for _, fd in orders])
                reply = await loop.sock_recv(self._socket, _REPLY_BYTES)
        if len(reply) == _REPLY_BYTES:
            _raise_if(int.from_bytes(reply, "big"))
            return
        self.close()
        for order in orders:
            await loop.run_in_executor(None, carry_out, order)

    def close(self) -> None:
        """Let it end; what was handed over is safe when this returns."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            fd = theirs.fileno()
            # -P: the folder in which the user happens to stand must not provide modules.
            command = [sys.executable, "-P", "-m", "lunaroute.spool.keeper", str(fd), *self._arguments]
            try:
                self._process = subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._socket = ours


def _raise_if(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


def main() -> None:
    """The keeper's side: until the writer's process is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    fd, lane_dir, segment_bytes = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=keep_ready, args=(lane_dir, segment_bytes), daemon=True).start()
    with suppress(ConnectionError), socket.socket(fileno=fd) as writer:
        _obey(writer)


def _obey(writer: socket.socket) -> None:
    while True:
        wanted, fds, _, _ = socket.recv_fds(writer, _MAX_DESCRIPTORS, _MAX_DESCRIPTORS)
        if not wanted:
            return
        failure = 0 if len(wanted) == len(fds) else errno.EMFILE
        for what, fd in zip(wanted, fds, strict=False):
            try:
                carry_out((bytes((what,)), fd))
            except OSError as error:
                failure = error.errno or errno.EIO
            finally:
                os.close(fd)
        writer.sendall(failure.to_bytes(_REPLY_BYTES, "big"))


if __name__ == "__main__":
    main()
