"""[pure] Numbers of exchanges and sessions: timing, tokens, sums and percentiles."""

from .counts import TokenCounts
from .percentile import percentile
from .sums import ExchangeNumbers, SessionSums, samples
from .times import ChunkGaps, StreamPoint, Timing
from .timing import chunk_gaps, measure, stream_points, without_latency
from .tokens import count_tokens, estimate_tokens, plausible_billing

__all__ = [
    "ChunkGaps",
    "ExchangeNumbers",
    "SessionSums",
    "StreamPoint",
    "Timing",
    "TokenCounts",
    "chunk_gaps",
    "count_tokens",
    "estimate_tokens",
    "measure",
    "percentile",
    "plausible_billing",
    "samples",
    "stream_points",
    "without_latency",
]
