"""The rows: what is asked for, by how many at a time, over what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

KB = 1000
NGINX, LUNAROUTE, UNRECORDED, LITELLM = "nginx", "lunaroute", "lunaroute, not recording", "litellm"
BOTH = (NGINX, LUNAROUTE)
MOST_BYTES = 600_000_000
"""Of request bodies in a round: what the spool and the disk have to take."""


@dataclass(frozen=True)
class Work:
    """One row. The same requests go through each of `proxies`."""

    body_bytes: int
    connections: int
    chunks: int = 0
    """Of a streamed answer; 0 = a JSON answer of 1.5 KB."""
    every_ms: int = 0
    is_tls: bool = False
    """Between proxy and provider."""
    workers: int = 1
    proxies: tuple[str, ...] = BOTH

    @property
    def name(self) -> str:
        size = f"{self.body_bytes // KB} KB" if self.body_bytes < 1000 * KB else f"{self.body_bytes // KB // 1000} MB"
        pace = f", {self.every_ms} ms apart" if self.every_ms else ""
        answer = f", stream of {self.chunks} chunks{pace}" if self.chunks else ""
        tls = ", TLS" if self.is_tls else ""
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        return f"{size}{answer}{tls}{workers} × {self.connections}"

    @property
    def target(self) -> str:
        path = "/tls/v1/messages" if self.is_tls else "/v1/messages"
        return f"{path}?chunks={self.chunks}&every_ms={self.every_ms}" if self.chunks else path

    @property
    def most_requests(self) -> int:
        """In a round. Paced streams: as many as lets each connection have one whole."""
        if self.is_crowd:
            return self.connections
        return max(1, MOST_BYTES // self.body_bytes)

    @property
    def is_crowd(self) -> bool:
        """So many paced streams that one of each is enough."""
        return self.every_ms > 0 and self.connections >= 100

    @property
    def ramp_ms(self) -> int:
        """A crowd's streams begin one after the other, so that their chunks do not all come in the same instant."""
        return 1000 if self.is_crowd else 0

    def least_seconds(self, seconds: float) -> float:
        """A round's length: a crowd's is long enough for every stream to begin."""
        return max(seconds, 2 * self.ramp_ms / 1000)


SMALL, MIDDLE, LARGE = (Work(size * KB, 32) for size in (1, 50, 400))
SMALL_ALONE, MIDDLE_ALONE, LARGE_ALONE = (Work(size * KB, 1) for size in (1, 50, 400))
WITH_AND_WITHOUT = (*BOTH, UNRECORDED)
LARGE_WITHOUT = Work(400 * KB, 32, proxies=WITH_AND_WITHOUT)
LARGE_ALONE_WITHOUT = Work(400 * KB, 1, proxies=WITH_AND_WITHOUT)
BURST = Work(KB, 32, chunks=100)
PACED = Work(KB, 8, chunks=50, every_ms=2)
CROWD = Work(KB, 1000, chunks=20, every_ms=100)

SHORT = (
    *(SMALL, MIDDLE, LARGE_WITHOUT, SMALL_ALONE, MIDDLE_ALONE, LARGE_ALONE_WITHOUT),
    *(BURST, PACED, CROWD),
)
LONG = (
    *SHORT,
    Work(1000 * KB, 1),
    Work(1000 * KB, 32),
    *(Work(size * KB, 256) for size in (1, 50, 400)),
    *(Work(KB, connections, chunks=100) for connections in (1, 256)),
    *(Work(50 * KB, 32, chunks=100), Work(KB, 1, chunks=50, every_ms=2), Work(KB, 256, chunks=50, every_ms=50)),
    *(Work(size * KB, connections, is_tls=True) for size, connections in product((1, 50, 400), (1, 32))),
    *(Work(KB, 32, chunks=100, is_tls=True), Work(KB, 8, chunks=50, every_ms=2, is_tls=True)),
    *(Work(size * KB, connections, workers=2) for size, connections in product((1, 50, 400), (32, 256))),
    Work(KB, 32, chunks=100, workers=2),
)
BESIDE_LITELLM = tuple(Work(KB, connections, proxies=(NGINX, LUNAROUTE, LITELLM)) for connections in (1, 32))
SMOKE = (Work(50 * KB, 2, chunks=3, every_ms=1, is_tls=True, proxies=WITH_AND_WITHOUT),)
"""One row with a part of everything, to see that all of it works."""
