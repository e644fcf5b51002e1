"""`lunaroute serve` with relays that record nothing: what is missing in their CPU time is the cost of recording.

A program by itself, with the flags of `lunaroute serve`. There is no such setting: recording is what the server is for.
"""

from __future__ import annotations

import os
import sys
from typing import Any

RELAY = "relay"


class NoSpool:
    """In the writer's place: takes everything, keeps nothing."""

    lane_dir = None
    segment_bytes = 0
    is_dirty = False
    lost_before = None

    def __getattr__(self, name: str) -> Any:
        return _nothing

    def opening(self, opening: object) -> bytes:
        return b""


class NoKeeper:
    """In the keeper's place: there is nothing to keep."""

    def __init__(self, *_: object) -> None: ...

    def close(self) -> None: ...


def _nothing(*_: object) -> None: ...


def relay() -> None:
    from lunaroute.relay import __main__, worker

    worker.open_lane = lambda *_: NoSpool()  # type: ignore[assignment, return-value]
    worker.Keeper = NoKeeper  # type: ignore[assignment, misc]
    __main__.main()


def serve() -> None:
    from lunaroute.cli.serve import serve_command
    from lunaroute.supervisor import server

    def serve_unrecorded(config: Any) -> None:
        real(config, relay_command=(sys.executable, "-P", __file__, RELAY))

    real, server.serve = server.serve, serve_unrecorded
    serve_command()


if __name__ == "__main__":
    if sys.argv[1:] == [RELAY]:
        relay()
    else:
        os.environ["LUNAROUTE_DASHBOARD_ENABLED"] = "false"
        serve()
