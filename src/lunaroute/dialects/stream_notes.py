"""What a stream reader notes while it reads: milestones, unknown types, and the times of tool calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from lunaroute.dialects.facts import Milestone, ToolCall
from lunaroute.dialects.loose import well_formed

_Named = Literal["block_start", "block_stop", "error", "completion"]


class Milestones:
    """In the order in which they arrived; `first_token` is kept once."""

    def __init__(self) -> None:
        self.found: list[Milestone] = []
        self._has_token = False

    def token(self, t_ns: int) -> None:
        """Generated content arrived: text, thinking or tool arguments."""
        if not self._has_token:
            self._has_token = True
            self.found.append(Milestone(event_type="first_token", t_ns=t_ns))

    def block_start(self, kind: str | None, t_ns: int) -> None:
        self._add("block_start", kind, t_ns)

    def block_stop(self, kind: str | None, t_ns: int) -> None:
        self._add("block_stop", kind, t_ns)

    def error(self, message: str | None, t_ns: int) -> None:
        self._add("error", message, t_ns)

    def completion(self, finish_reason: str | None, t_ns: int) -> None:
        self._add("completion", finish_reason, t_ns)

    def _add(self, event_type: _Named, content: str | None, t_ns: int) -> None:
        content = None if content is None else well_formed(content)
        self.found.append(Milestone(event_type=event_type, t_ns=t_ns, content=content))


class Unknowns:
    """Event, block and item types that this program does not know, counted."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, kind: str, times: int = 1) -> None:
        kind = well_formed(kind)
        self.counts[kind] = self.counts.get(kind, 0) + times

    def merged(self, others: dict[str, int]) -> dict[str, int]:
        """These counts and others."""
        for kind, times in others.items():
            self.count(kind, times)
        return self.counts


def counted(kinds: Iterable[str]) -> dict[str, int]:
    """How often each comes; what collections.Counter does, which takes long to begin where there are none."""
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def with_times(calls: list[ToolCall], times_ns: list[int | None]) -> list[ToolCall]:
    """The calls with the arrival of the end of each one's block, given in the same order."""
    if len(calls) != len(times_ns):
        return calls
    return [msgspec.structs.replace(call, t_ns=t_ns) for call, t_ns in zip(calls, times_ns, strict=True)]
