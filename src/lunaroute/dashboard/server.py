"""The dashboard's process: serves until it is told to stop, or its supervisor is gone."""

from __future__ import annotations

import select
import socket
import threading
from types import FrameType

import uvicorn

from lunaroute.config import Config

from .app import make_app
from .hub import Hub


def run_dashboard(config: Config, listener: socket.socket, alive_fd: int = -1) -> None:
    """Serve on `listener` until SIGTERM, SIGINT or the end of `alive_fd`."""
    app, site = make_app(config)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            server_header=False,
            date_header=False,
        ),
        site.hub,
    )
    if alive_fd >= 0:
        threading.Thread(target=_stop_with, args=(alive_fd, server), daemon=True).start()
    server.run(sockets=[listener])
    site.recordings.close()


class _Server(uvicorn.Server):
    """Ends the open streams when it is told to stop; else it would wait for browsers to go away."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)


def _stop_with(alive_fd: int, server: _Server) -> None:
    # Whoever else has the pipe may have made it non-blocking, so its end is waited for first.
    select.select([alive_fd], [], [])
    server.should_exit = True
