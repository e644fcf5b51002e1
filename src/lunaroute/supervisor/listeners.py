"""The listening sockets, held open by the supervisor.

In: host, port and number of workers. Out: one socket per worker. Because the supervisor keeps them, connections
wait in the kernel's queue while a worker restarts, and nobody is refused.
"""

from __future__ import annotations

import errno
import socket
import sys
import time

from lunaroute.errors import StartError

BACKLOG = 4096
_RETRY_S = 0.1
_SPREADS_CONNECTIONS = sys.platform.startswith("linux")
"""Elsewhere SO_REUSEPORT does not share connections out, so all workers accept from one socket."""


def bind_listeners(
    host: str, port: int, workers: int, patience_s: float = 0.0, *, port_flag: str = "--port"
) -> list[socket.socket]:
    """One listening socket per worker, all on the same port (a free one when `port` is 0).

    `patience_s`: how long a taken port may take to become free, when the last server's workers are just ending.
    Raises StartError with what to do.
    """
    address, family = _resolve(host, port)
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return _bind_all(family, address, workers)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline_s:
                time.sleep(_RETRY_S)
                continue
            raise StartError(_explain(error, host, port, port_flag)) from None


def _resolve(host: str, port: int) -> tuple[tuple[str, int], int]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise StartError(f"{host!r} is not an address of this machine; use --host 127.0.0.1") from None
    family, _, _, _, address = found[0]
    return (str(address[0]), port), family


def _bind_all(family: int, address: tuple[str, int], workers: int) -> list[socket.socket]:
    shares_port = _SPREADS_CONNECTIONS and workers > 1
    if shares_port:
        # With SO_REUSEPORT a bind succeeds beside another program of the same user that also set it; one bind
        # without it shows whether anybody else listens.
        with _listener(family, address, shares_port=False) as free:
            address = (address[0], free.getsockname()[1])
    sockets: list[socket.socket] = []
    try:
        for _ in range(workers if shares_port else 1):
            sockets.append(_listener(family, address, shares_port))
            address = (address[0], sockets[0].getsockname()[1])
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    return sockets if shares_port else sockets * workers


def _listener(family: int, address: tuple[str, int], shares_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(error: OSError, host: str, port: int, port_flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another program; use {port_flag}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} needs rights this user does not have; use {port_flag} with a number above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; use --host 127.0.0.1"
    return f"cannot listen on {host} port {port}: {error.strerror}"
