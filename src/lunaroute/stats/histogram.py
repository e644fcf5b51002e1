"""[pure] Durations counted in buckets whose width grows with the duration: percentiles of any number of exchanges
from a small value, within 2 %.

A histogram is one integer. Bucket n is its n-th lane of 32 bits, so adding two histograms is adding two integers,
which Python does at memory speed. Bucket n holds the durations in (0.1 ms * 1.04^(n-1), 0.1 ms * 1.04^n]; what it
answers with lies between, no more than 1.97 % from any of them (as DDSketch does; Masson et al., VLDB 2019).
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

EMPTY: Final = 0

_LANE_BITS: Final = 32
"""A lane overflows into the next at 4.3 thousand million exchanges in one bucket."""
_LANE_BYTES: Final = _LANE_BITS // 8
_GROWTH: Final = 1.04
_SMALLEST_MS: Final = 0.1
_LAST_BUCKET: Final = 511
"""0.1 ms * 1.04^511: 14 hours."""
_LOG_GROWTH: Final = math.log(_GROWTH)
_HEADER_BYTES: Final = 2


def one(duration_ms: float) -> int:
    """The histogram of a single duration."""
    return of_bucket(bucket_of(duration_ms))


def of(durations_ms: Iterable[float]) -> int:
    """The histogram of many: the sum of theirs, for less."""
    counts = Counter(map(bucket_of, durations_ms))
    return sum(of_bucket(bucket, count) for bucket, count in counts.items())


def bucket_of(duration_ms: float) -> int:
    """The number of the bucket that a duration is counted in."""
    if duration_ms <= _SMALLEST_MS:
        return 0
    return min(math.ceil(math.log(duration_ms / _SMALLEST_MS) / _LOG_GROWTH), _LAST_BUCKET)


def of_bucket(bucket: int, count: int = 1) -> int:
    """The histogram of so many durations in one bucket."""
    return count << _LANE_BITS * bucket


def pack(histogram: int) -> bytes | None:
    """The histogram as the index stores it: the number of its first bucket that is not empty, then 32 bits for each
    from there on, all little-endian. None = no duration was counted."""
    if not histogram:
        return None
    first = ((histogram & -histogram).bit_length() - 1) // _LANE_BITS
    lanes = histogram >> _LANE_BITS * first
    return first.to_bytes(_HEADER_BYTES, "little") + lanes.to_bytes((lanes.bit_length() + 7) // 8, "little")


def unpack(stored: bytes | None) -> int:
    """The histogram again."""
    if stored is None:
        return EMPTY
    first = int.from_bytes(stored[:_HEADER_BYTES], "little")
    return int.from_bytes(stored[_HEADER_BYTES:], "little") << _LANE_BITS * first


def buckets(histogram: int) -> list[tuple[float, int]]:
    """(milliseconds that stand for the bucket, count) of each bucket that is not empty, ascending."""
    # In the machine's own byte order the lanes are an array as they stand, the last one first where it is big-endian.
    lanes = memoryview(histogram.to_bytes(_LANE_BYTES * len(_MIDDLES_MS), sys.byteorder)).cast("I")
    counts = lanes if sys.byteorder == "little" else lanes[::-1]
    return [(_MIDDLES_MS[bucket], count) for bucket, count in enumerate(counts) if count]


def percentile(histogram: int, percent: float) -> float | None:
    """The percentile in milliseconds, by linear interpolation between the two nearest ranks like `stats.percentile`;
    None of no durations."""
    return percentiles_of(buckets(histogram), (percent,))[0]


def percentiles_of(found: list[tuple[float, int]], percents: Sequence[float]) -> list[float | None]:
    """The same of its buckets, several at once."""
    counted = list(accumulate(count for _, count in found))
    if not counted:
        return [None] * len(percents)
    return [_at_rank(found, counted, (counted[-1] - 1) * percent / 100) for percent in percents]


def _at_rank(found: list[tuple[float, int]], counted: list[int], rank: float) -> float:
    below, above = (found[bisect_right(counted, whole)][0] for whole in (math.floor(rank), math.ceil(rank)))
    return below + (above - below) * (rank - math.floor(rank))


def _middle_ms(bucket: int) -> float:
    """As far from the bucket's lower end as from its upper one, in proportion."""
    if bucket == 0:
        return _SMALLEST_MS
    return float(_SMALLEST_MS * _GROWTH**bucket * 2 / (1 + _GROWTH))


_MIDDLES_MS: Final = tuple(_middle_ms(bucket) for bucket in range(_LAST_BUCKET + 1))
