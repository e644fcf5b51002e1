"""[io] What passed while nothing could be recorded: one line of JSON for each such time, beside the session files.

In: gaps, perhaps again after a crash. Out: `gaps.jsonl`, in which each is once, and how many exchanges that is in all.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lunaroute.assemble.exchange import RecordingGap
from lunaroute.events.timestamps import timestamp


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file."""

    since: str
    """When writing failed; RFC 3339 UTC."""
    until: str
    """When it worked again."""
    exchange_count: int
    """Exchanges that passed unrecorded, in whole or in part."""
    reason: str


_decoder = msgspec.json.Decoder(Gap)


class GapFile:
    """The file; it is read when it is first needed, and only ever grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)

    @property
    def unrecorded_exchanges(self) -> int:
        return sum(gap.exchange_count for gap in self._known)

    def add(self, found: RecordingGap) -> None:
        """Put it on record, on disk on return. Raises OSError."""
        gap = Gap(
            since=timestamp(found.since_wall_ns),
            until=timestamp(found.wall_ns),
            exchange_count=found.exchange_count,
            reason=found.reason,
        )
        if gap in self._known:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # A line break of its own before it: what a crash left of an earlier try must not swallow this one.
            is_torn = (size := os.fstat(fd).st_size) > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, b"\n" * is_torn + msgspec.json.encode(gap) + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        self._known.append(gap)


def _read(path: Path) -> list[Gap]:
    """The gaps on record; what is no gap is passed over."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    gaps = []
    for line in lines:
        try:
            gaps.append(_decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return gaps
