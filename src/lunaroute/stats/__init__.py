"""[pure] Numbers of exchanges and sessions: timing, tokens, sums and percentiles."""

from .counts import TokenCounts
from .percentile import percentile
from .session_sums import ExchangeNumbers, SessionSums
from .sums import add_context, add_exchange, add_miss, add_tool_result, samples
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
    "add_context",
    "add_exchange",
    "add_miss",
    "add_tool_result",
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
