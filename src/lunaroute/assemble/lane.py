"""What the assembler keeps of a lane."""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import (
    RelayStarted,
)

from .exchange import (
    Exchange,
)
from .socket import Socket


class Lane(msgspec.Struct):
    started: RelayStarted
    open: dict[int, Exchange] = {}
    sockets: dict[int, Socket] = {}
    is_running: bool = True
    stopped_wall_ns: int = 0
    """When it stopped in order; 0 = it runs, or was killed."""
