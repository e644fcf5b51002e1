"""Named points at which a process may die, and how to have it die there.

POINTS["after the plan"](patch, nth, die)   # dies at the nth time that this point is reached

`patch` sets an attribute, as `setattr` does; `die` does not return. There is nothing of this in the program itself: a
point is a call that the program makes anyway.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lunaroute.recorder.journal import Journal
from lunaroute.sinks.feed import FeedSink
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.spool import segments
from lunaroute.spool.follow import Follower

Patch = Callable[[Any, str, Any], None]
Die = Callable[[], None]
SetTrap = Callable[[Patch, int, Die], None]


def around(owner: object, name: str, *, is_before: bool) -> SetTrap:
    """Before or after a call of `owner.name`."""

    def set_trap(patch: Patch, nth: int, die: Die) -> None:
        original: Callable[..., Any] = getattr(owner, name)
        calls = 0

        def trapped(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            is_here = calls == nth  # others may call meanwhile, in threads of theirs
            if is_here and is_before:
                die()
            result = original(*arguments, **more)
            if is_here:
                die()
            return result

        patch(owner, name, trapped)

    return set_trap


def _half_a_line(patch: Patch, nth: int, die: Die) -> None:
    """Only session files are written with `writev`."""
    original = os.writev
    calls = 0

    def torn(fd: int, pieces: list[bytes]) -> int:
        nonlocal calls
        calls += 1
        if calls == nth:
            data = b"".join(pieces)
            original(fd, [data[: len(data) // 2]])
            die()
        return original(fd, pieces)

    patch(os, "writev", torn)


def _half_a_record(patch: Patch, nth: int, die: Die) -> None:
    original = FeedSink._append
    calls = 0

    def torn(sink: FeedSink, data: bytearray) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            original(sink, data[: len(data) // 2 + 1])
            die()
        original(sink, data)

    patch(FeedSink, "_append", torn)


def _half_a_frame(patch: Patch, nth: int, die: Die) -> None:
    original = os.pwritev
    calls = 0

    def torn(fd: int, pieces: list[bytes], offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == nth:
            data = b"".join(pieces)
            original(fd, [data[: len(data) // 2]], offset)
            die()
        return original(fd, pieces, offset)

    patch(os, "pwritev", torn)


RECORDER_POINTS: dict[str, SetTrap] = {
    "before the plan": around(Journal, "add_plan", is_before=True),
    "after the plan": around(Journal, "add_plan", is_before=False),
    "in the middle of a line": _half_a_line,
    "between the sinks": around(SqliteSink, "write_batch", is_before=True),
    "after the sinks": around(SqliteSink, "write_batch", is_before=False),
    "in the middle of the feed": _half_a_record,
    "after the feed": around(FeedSink, "write_batch", is_before=False),
    "before the syncs": around(JsonlSink, "sync", is_before=True),
    "between the syncs": around(SqliteSink, "sync", is_before=True),
    "before the commit": around(Journal, "commit", is_before=True),
    "in the commit": around(Journal, "_write", is_before=False),
    "before segments are given back": around(Follower, "release", is_before=True),
    "after segments are given back": around(Follower, "release", is_before=False),
}

RELAY_POINTS: dict[str, SetTrap] = {
    "before a flush": around(os, "pwritev", is_before=True),
    "in the middle of a frame": _half_a_frame,
    "after a flush": around(os, "pwritev", is_before=False),
    "before a segment's number is noted": around(segments, "note_number", is_before=True),
    "after a segment's number is noted": around(segments, "note_number", is_before=False),
    "before a segment has its name": around(os, "replace", is_before=True),
    "after a segment has its name": around(os, "replace", is_before=False),
}
