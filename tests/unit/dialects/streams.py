"""Streams written down as their events' payloads, one per line of a test."""

from __future__ import annotations

import json
from typing import Any

from lunaroute.dialects import read_response_body
from lunaroute.dialects.facts import Dialect, ResponseFacts


def sse(*payloads: Any, is_named: bool = True) -> list[tuple[int, bytes]]:
    """One read per event, arriving at 10, 20, 30 … ns."""
    chunks = []
    for number, payload in enumerate(payloads, 1):
        data = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        kind = payload.get("type") if isinstance(payload, dict) and is_named else None
        name = f"event: {kind}\n" if kind else ""
        chunks.append((number * 10, f"{name}data: {data}\n\n".encode()))
    return chunks


def read_stream(dialect: Dialect, *payloads: Any, is_named: bool = True) -> ResponseFacts:
    return read_response_body(dialect, sse(*payloads, is_named=is_named), "text/event-stream", 200)


def message_of(facts: ResponseFacts) -> Any:
    """The message as plain values."""
    assert facts.message is not None
    return facts.message if isinstance(facts.message, dict) else json.loads(bytes(facts.message))


def times(facts: ResponseFacts) -> list[tuple[str, int, str | None]]:
    return [(milestone.event_type, milestone.t_ns, milestone.content) for milestone in facts.milestones]
