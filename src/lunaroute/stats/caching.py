"""When a cache hit was possible and missed: what the provider had cached of a thread and what it read now in; how much
was missed, and why, out.

How much a cache holds is what the provider said of the prompt before: what it read and wrote, where it reports writes
(Anthropic: explicit, for as long as it says); else, where it caches by itself (OpenAI), that prompt in steps of 128
tokens. Less than 1,024 tokens are no miss: no provider caches so little, and the last block is often written anew.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lunaroute.sessions.prompts import Answered, Change, Difference

from .counts import TokenCounts

Reason = Literal[
    "model_changed",
    "tools_changed",
    "system_changed",
    "settings_changed",
    "history_changed",
    "expired",
    "too_many_new_blocks",
    "unknown",
]

_SMALLEST_TOKENS = 1024
_STEP_TOKENS = 128
_SHORT_TTL_S = 300
_LONG_TTL_S = 3600
_LOOKBACK_BLOCKS = 20
"""So far back Anthropic looks from a cache marker for something that it has cached."""
_REASONS: dict[str, Reason] = {
    "model": "model_changed",
    "tools": "tools_changed",
    "system": "system_changed",
    "settings": "settings_changed",
    "messages": "history_changed",
}


class CacheMiss(msgspec.Struct, frozen=True):
    missed_tokens: int
    """Input that could have been read from the cache and was not."""
    reason: Reason
    difference: Difference | None
    """The first block that is not as it was; None where none differs."""
    idle_s: float
    """Since the end of the thread's answer before."""


def answered(tokens: TokenCounts, before: Answered | None, ended_wall_ns: int) -> Answered | None:
    """What a response tells of its prompt; None where it tells nothing."""
    if tokens.input_tokens is None:
        return None
    if tokens.cache_creation_tokens is not None:
        cached = (tokens.cache_read_tokens or 0) + tokens.cache_creation_tokens
    elif tokens.cache_read_tokens is not None and tokens.input_tokens >= _SMALLEST_TOKENS:
        cached = tokens.input_tokens // _STEP_TOKENS * _STEP_TOKENS
    else:
        cached = 0
    # A read keeps what was written for longer; a short write beside it does not shorten that.
    is_long = bool(tokens.cache_creation_1h_tokens) or (
        bool(tokens.cache_read_tokens) and before is not None and before.ttl_s == _LONG_TTL_S
    )
    return Answered(tokens.input_tokens, cached, _LONG_TTL_S if is_long else _SHORT_TTL_S, ended_wall_ns)


def new_input_tokens(change: Change, before: Answered | None, tokens: TokenCounts, *, is_first: bool) -> int | None:
    """Input that the thread's answered prompt before did not have; None where the provider's counts do not tell."""
    if tokens.input_tokens is None or is_first:
        return tokens.input_tokens
    if before is None or before.input_tokens is None or not change.is_continued:
        return None
    return max(0, tokens.input_tokens - before.input_tokens)


def find_miss(change: Change, before: Answered | None, tokens: TokenCounts, opened_wall_ns: int) -> CacheMiss | None:
    """None where the cache was hit, could not have been, or the provider does not say."""
    read, whole = tokens.cache_read_tokens, tokens.input_tokens
    if before is None or read is None or whole is None:
        return None
    missed = min(before.cached_tokens, whole) - read
    if missed < _SMALLEST_TOKENS:
        return None
    idle_ns = max(0, opened_wall_ns - before.ended_wall_ns)
    is_expired = idle_ns > before.ttl_s * 1_000_000_000
    return CacheMiss(missed, _reason(change, tokens, read, whole, is_expired), change.difference, idle_ns / 1e9)


def _reason(change: Change, tokens: TokenCounts, read: int, whole: int, is_expired: bool) -> Reason:
    difference = change.difference
    if is_expired and (difference is None or _read_less(read, _tokens_before(difference, change, whole))):
        return "expired"
    if difference is not None:
        return _REASONS[difference.part]
    if tokens.cache_creation_tokens is not None and change.new_block_count > _LOOKBACK_BLOCKS:
        return "too_many_new_blocks"
    return "unknown"


def _read_less(read: int, unchanged_tokens: float) -> bool:
    """Whether not even the unchanged part was read, where that is worth caching."""
    return unchanged_tokens >= _SMALLEST_TOKENS and 2 * read < unchanged_tokens


def _tokens_before(difference: Difference, change: Change, whole: int) -> float:
    """Of the unchanged part, by its share of the bytes."""
    return whole * difference.bytes_before / max(1, change.new_bytes + change.resent_bytes)


def without_miss(tokens: TokenCounts, missed_tokens: int) -> TokenCounts:
    """The counts as they would have been: what was missed, read from the cache and not written again."""
    counts = msgspec.structs.replace(tokens, cache_read_tokens=(tokens.cache_read_tokens or 0) + missed_tokens)
    if counts.cache_creation_tokens is not None:
        counts.cache_creation_tokens = max(0, counts.cache_creation_tokens - missed_tokens)
    left = missed_tokens
    for name in ("cache_creation_5m_tokens", "cache_creation_1h_tokens"):
        count = getattr(counts, name)
        if count is not None:
            taken = min(count, left)
            setattr(counts, name, count - taken)
            left -= taken
    return counts
