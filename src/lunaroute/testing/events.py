"""Events to try a sink with: `sample.jsonl`, the lines of two short sessions as they come, mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lunaroute.events import Event, decode_event

SAMPLE: Final = Path(__file__).with_name("sample.jsonl")


def sample_events() -> list[Event]:
    """Two sessions, one of them over: answers, tool calls, one that failed, a cut, what was never priced."""
    return [decode_event(line) for line in SAMPLE.read_bytes().splitlines()]
