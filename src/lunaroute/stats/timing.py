"""Times of one exchange: an ended exchange and its response's facts in, durations out.

All durations are differences of the exchange's own monotonic clock, in nanoseconds (chunk gaps: milliseconds), and
never negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from lunaroute.assemble.exchange import Exchange
from lunaroute.dialects.facts import Milestone

from .percentile import percentile
from .times import ChunkGaps, StreamPoint, Timing

STALL_NS = 5_000_000_000
"""A silence between two reads of a stream that a user notices as a stall."""


def measure(exchange: Exchange, milestones: Sequence[Milestone]) -> Timing:
    """The times of an ended exchange; `milestones` are those of its response."""
    closed = exchange.closed
    if closed is None:
        raise ValueError("the exchange has not ended")
    response = exchange.response
    chunks = exchange.response_chunks
    sent_ns = closed.sent_ns
    last_ns = _last_byte_ns(exchange, closed.t_ns)
    latency_ns = None if sent_ns is None else max(0, last_ns - sent_ns)
    first_token_ns = next((m.t_ns for m in milestones if m.event_type == "first_token"), None)
    return Timing(
        sent_ns=exchange.opened.t_ns if sent_ns is None else sent_ns,
        latency_ns=latency_ns,
        ttfb_ns=None if sent_ns is None or response is None else max(0, response.t_ns - sent_ns),
        ttft_ns=None if sent_ns is None or first_token_ns is None else max(0, first_token_ns - sent_ns),
        generation_ns=latency_ns if first_token_ns is None else max(0, last_ns - first_token_ns),
        streaming_ns=max(0, chunks[-1][0] - chunks[0][0]) if chunks else 0,
        pre_processing_ns=max(0, closed.pre_processing_ns),
        post_processing_ns=max(0, closed.post_processing_ns),
        total_ns=max(0, closed.t_ns - exchange.opened.t_ns),
    )


def without_latency(timing: Timing) -> Timing:
    """The times of an exchange that answered nothing, so that no statistics of latencies count it."""
    return msgspec.structs.replace(timing, latency_ns=None, ttfb_ns=None, ttft_ns=None, generation_ns=None)


def _last_byte_ns(exchange: Exchange, closed_ns: int) -> int:
    if exchange.response_chunks:
        return exchange.response_chunks[-1][0]
    return closed_ns if exchange.response is None else exchange.response.t_ns


def chunk_gaps(chunks: Sequence[tuple[int, bytes]]) -> ChunkGaps:
    """Statistics of the times between reads."""
    gaps = sorted(max(0, later - earlier) / 1e6 for (earlier, _), (later, _) in pairwise(chunks))
    if not gaps:
        return ChunkGaps()
    return ChunkGaps(
        sum(gaps) / len(gaps),
        percentile(gaps, 50),
        percentile(gaps, 95),
        percentile(gaps, 99),
        gaps[-1],
        gaps[0],
    )


def stream_points(exchange: Exchange, milestones: Sequence[Milestone]) -> list[StreamPoint]:
    """First byte, stalls and the dialect's milestones of a stream, in order of time."""
    points: list[StreamPoint] = []
    if exchange.response is not None:
        points.append(StreamPoint("first_byte", exchange.response.t_ns, None))
    points += [StreamPoint(m.event_type, m.t_ns, m.content) for m in milestones]
    for (earlier, _), (later, _) in pairwise(exchange.response_chunks):
        if later - earlier >= STALL_NS:
            points.append(StreamPoint("stall", later, f"{(later - earlier) / 1e6:.0f} ms"))
    points.sort(key=lambda point: point.t_ns)
    return points
