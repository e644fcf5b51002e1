"""Times of one exchange, as durations."""

from __future__ import annotations

from typing import Literal

import msgspec

PointType = Literal["first_byte", "first_token", "block_start", "block_stop", "stall", "error", "completion"]


class Timing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    sent_ns: int
    """Monotonic zero of all offsets: first request byte handed to the provider, else the request's arrival."""
    latency_ns: int | None
    """First request byte sent → last response byte (exchange over, where no response came); None = never sent."""
    ttfb_ns: int | None
    ttft_ns: int | None
    """Streams only."""
    generation_ns: int | None
    """First token → last byte of a stream; the whole latency of a response that came in one piece."""
    streaming_ns: int
    """First → last read of the response body."""
    pre_processing_ns: int
    post_processing_ns: int
    total_ns: int
    """Request head received → exchange over."""

    @property
    def overhead_ns(self) -> int:
        return self.pre_processing_ns + self.post_processing_ns


class ChunkGaps(msgspec.Struct, frozen=True, gc=False):
    """Silences between the reads of a response body, in ms; all None with fewer than two reads."""

    avg_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    min_ms: float | None = None


class StreamPoint(msgspec.Struct, frozen=True):
    """A milestone of a stream."""

    type: PointType
    t_ns: int
    content: str | None
