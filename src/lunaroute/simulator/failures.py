"""Failures inside a stream that has begun: pure changes to the list of its writes."""

from __future__ import annotations

import msgspec

from lunaroute.simulator.dialect import Dialect
from lunaroute.simulator.directives import Directives
from lunaroute.simulator.turn import Step

_MALFORMED = (
    b'data: {"type":"content_block_delta","index":0,"delta":{"te\n\n',
    b"this line has no field name\n\n",
    b"event: \ndata\n\n",
    b"data: \xff\xfe not UTF-8\n\n",
    b": a comment\n\n",
)


def with_failures(steps: list[Step], directives: Directives, dialect: Dialect, is_stream: bool) -> list[Step]:
    """The writes as the directives want them; a body that is not a stream only knows the silent gap."""
    if is_stream and directives.error_event_after is not None:
        steps = [*steps[: directives.error_event_after], Step(data=dialect.error_event())]
    if is_stream and directives.malformed_sse:
        middle = len(steps) // 2
        steps = [*steps[:middle], *(Step(data=data) for data in _MALFORMED), *steps[middle:]]
    return steps if is_stream else _in_halves(steps) if directives.silent_gap_ms else steps


def gap_index(steps: list[Step], directives: Directives) -> int | None:
    """The write before which the silent gap lies: the middle one."""
    return len(steps) // 2 if directives.silent_gap_ms else None


def _in_halves(steps: list[Step]) -> list[Step]:
    """A single write as two, so that there is a middle to be silent in."""
    (step,) = steps
    half = len(step.data) // 2
    return [msgspec.structs.replace(step, data=step.data[:half]), Step(data=step.data[half:])]
