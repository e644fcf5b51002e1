"""Unix nanoseconds → RFC 3339 UTC with microseconds and `Z`, the form of every timestamp in a recording."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def timestamp(wall_ns: int) -> str:
    """The moment as text; digits below the microsecond are cut off, never rounded up into another second."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return f"{_to_the_second(seconds)}.{rest_ns // 1000:06d}Z"


@lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
