"""What a transcript knows of one exchange, and what reading a transcript gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from lunaroute.dialects.facts import WireFormat

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Turn(msgspec.Struct, kw_only=True):
    """One answer of the model, and what was said to it since the answer before. Times are the client's wall clock."""

    key: str
    """What names the answer in all copies of the transcript: the provider's message id where the client kept it, else
    its first call's id, else place and time."""
    response_id: str | None
    """The provider's id of the answer, where the client kept it."""
    provider: str
    wire_format: WireFormat
    model: str | None
    began_ns: int
    """The last thing that was said to the model."""
    ended_ns: int
    """The last thing that the model said."""
    request: dict[str, Any]
    """A body of the wire format with the new messages alone."""
    response: dict[str, Any]
    """The answer in the wire format. Counts that the client only put there as placeholders are left out."""
    call_ids: list[str] = []
    called_ns: dict[str, int] = {}
    """Tool call id → when the call was written down."""
    returned_ns: dict[str, int] = {}
    """Tool call id → when the result, which is in the request, was written down."""
    project: str | None = None
    client_version: str | None = None
    thread_id: str | None = None
    """Of a sub-agent; None = the main thread."""
    parent_thread_id: str | None = None
    """The thread that started this one as its sub-agent."""


class Conversation(msgspec.Struct, kw_only=True):
    """What the files of one conversation tell."""

    client_name: str
    conversation_id: str
    evidence: str
    """The field that says so, as `name=value`."""
    turns: list[Turn] = []
    """In the order of their beginnings."""


class Reading(msgspec.Struct, kw_only=True):
    """What reading lines gave."""

    turns: list[Turn] = []
    conversation_id: str | None = None
    bad_lines: list[int] = []
    """Numbers, from 1, of lines that are no JSON object."""


def wall_ns(value: object) -> int | None:
    """Unix nanoseconds of an RFC 3339 time with a zone; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wall = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return wall if wall >= 0 else None
