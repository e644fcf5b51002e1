"""Events of some exchanges of a session, without decoding the rest of its file.

In: the session's file and the ids of requests. Out: their events, in the order of the file. A line tells by its ends
whose it is; only those asked for are decoded, and reading stops when all are complete. So a page of a session of
thousands of exchanges, each with its whole history, costs what the page holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from lunaroute.events import Event, decode_event
from lunaroute.sinks.session_file import read_lines

_HEAD = re.compile(rb'\{"type":"(\w+)"')
_HEAD_BYTES = 64
_TAIL = re.compile(
    rb'"request_id":"([0-9a-f-]{36})","timestamp":"[^"]*","seq":\d+,"schema":\d+(?:,"prev":(?:null|"[^"]*"))?\}\Z'
)
_TAIL_BYTES = 400


def events_of(path: Path, request_ids: Collection[str], result_request_ids: Collection[str] = ()) -> Iterator[Event]:
    """`request_recorded` and `response_recorded` of the first, `tool_call_recorded` that came with the second. Lines
    that are no events are passed over. Raises OSError, and EOFError or ZstdError where a compressed file is damaged."""
    open_responses, open_results = set(request_ids), set(result_request_ids)
    for line in read_lines(path, of={*request_ids, *result_request_ids}):
        kind, request_id = _whose(line)
        is_wanted = request_id in request_ids
        if kind == "request_recorded":
            # The results that a request carries stand before it.
            open_results.discard(request_id)
        elif kind == "response_recorded":
            open_responses.discard(request_id)
        else:
            is_wanted = kind == "tool_call_recorded" and request_id in result_request_ids
        event = _decoded(line) if is_wanted else None
        if event is not None:
            yield event
        if not open_responses and not open_results:
            return


def _whose(line: bytes) -> tuple[str, str]:
    """(type, request id)."""
    head, tail = _HEAD.match(line[:_HEAD_BYTES]), _TAIL.search(line[-_TAIL_BYTES:])
    if head is not None and tail is not None:
        return head[1].decode(), tail[1].decode()
    event = _decoded(line)
    return ("", "") if event is None else (str(event.__struct_config__.tag), event.request_id)


def _decoded(line: bytes) -> Event | None:
    try:
        return decode_event(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
