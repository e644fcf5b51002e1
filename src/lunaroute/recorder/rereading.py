"""[pure] A recorded exchange read again: what was recorded by its bytes alone gets the meaning that it was denied.

In: the events of a finished session and the head of one of its exchanges. Out: the same events, as many and in the same
order, where those of this exchange say what it says and the totals are right again. Who asked and where it belongs was
decided when it was recorded, and stays: later exchanges were placed by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from lunaroute.assemble.exchange import Exchange, ExchangeKey, SocketPart
from lunaroute.capture.records import ExchangeClosed, Outcome, RequestOpened, ResponseOpened, join_headers
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.recounting import recounted, to_ns
from lunaroute.events.request import request_event
from lunaroute.events.response import response_event
from lunaroute.events.types import Event, RequestRecorded, ResponseRecorded, Started
from lunaroute.events.understood import ReadRequest
from lunaroute.pricing import Pricer
from lunaroute.sessions import OpenExchange, Session
from lunaroute.sessions.state import Instant

from .reading import read_request, read_response

_Recorded = TypeVar("_Recorded", RequestRecorded, ResponseRecorded)

_PLACED = ("thread_id", "parent_thread_id", "thread_kind", "is_new_thread", "retry_of", "identity", "client", "agent")
"""Of a request: what was decided when it was recorded."""


class ExchangeHead(msgspec.Struct, frozen=True, kw_only=True):
    """What of an exchange is not in its events, or not in full."""

    key: ExchangeKey
    opened: RequestOpened
    socket: SocketPart | None = None


def head_of(exchange: Exchange) -> ExchangeHead:
    return ExchangeHead(key=exchange.key, opened=exchange.opened, socket=exchange.socket)


def read_again(events: Sequence[Event], head: ExchangeHead, pricer: Pricer) -> list[Event]:
    """The session's events with this exchange read. Raises ValueError where it is not in there with its bytes or the
    session is not over, and whatever a stage raises that still breaks on it."""
    request_id = head.opened.request_id
    old_request = _only(events, RequestRecorded, request_id)
    old_response = _only(events, ResponseRecorded, request_id)
    if old_request.bodies_deleted:
        raise ValueError("its bodies were deleted")
    withheld = [one.redaction.withheld for one in (old_request, old_response) if one.redaction is not None]
    if any(withheld):
        raise ValueError("its bodies were withheld, and are nowhere")
    exchange = _exchange(head, old_request, old_response)
    read = read_request(exchange)
    request = _request(read, old_request)
    response = _response(exchange, read, old_response, _calls_of_others(events, request_id), pricer)
    new: list[Event] = []
    for event in events:
        if event is old_request:
            new.append(request)
        elif event is old_response:
            new.append(response)
        elif isinstance(event, Started) and event.request_id == request_id:
            new.append(_started(event, request))
        else:
            new.append(event)
    return [*new[:-1], recounted(new)]


def _only(events: Sequence[Event], kind: type[_Recorded], request_id: str) -> _Recorded:
    found = [event for event in events if isinstance(event, kind) and event.request_id == request_id]
    if len(found) != 1:
        raise ValueError("its session does not have it")
    return found[0]


def _calls_of_others(events: Sequence[Event], request_id: str) -> set[str]:
    """Ids of the calls that other responses of the session asked for: each is counted once."""
    others = (event for event in events if isinstance(event, ResponseRecorded) and event.request_id != request_id)
    return {call.tool_call_id for other in others for call in other.stats.tool_calls if call.tool_call_id}


def _exchange(head: ExchangeHead, request: RequestRecorded, response: ResponseRecorded) -> Exchange:
    """As it was assembled, its clock beginning when the request was sent; durations are what they were."""
    opened, stats = head.opened, response.stats
    zero_ns = opened.t_ns
    body, sent = request_bytes(request), stats.provider_latency_ms is not None
    return Exchange(
        key=head.key,
        opened=opened,
        request_chunks=[body] if body or head.socket is not None else [],
        is_request_complete=request.is_body_complete,
        request_ended_ns=zero_ns,
        pre_processing_ns=to_ns(request.stats.pre_processing_ms),
        response=_response_head(zero_ns, response),
        response_chunks=_chunks(zero_ns, response),
        closed=ExchangeClosed(
            exchange=head.key.exchange,
            t_ns=zero_ns + to_ns(stats.total_duration_ms),
            outcome=_seen_outcome(response.outcome),
            detail=_seen_detail(response),
            sent_ns=zero_ns if sent else None,
            pre_processing_ns=to_ns(stats.pre_processing_ms),
            post_processing_ns=to_ns(stats.post_processing_ms),
        ),
        socket=head.socket,
    )


def _response_head(zero_ns: int, response: ResponseRecorded) -> ResponseOpened | None:
    if response.status_code is None:
        return None
    headers = join_headers([(name.encode(), value.encode()) for name, value in response.response_headers])
    t_ns = zero_ns + to_ns(response.stats.time_to_first_byte_ms or 0.0)
    return ResponseOpened(0, t_ns, response.status_code, "", headers)


def _chunks(zero_ns: int, response: ResponseRecorded) -> list[tuple[int, bytes]]:
    """The body in the reads that it came in; what came in one piece came with its last byte."""
    body, copy = response_bytes(response), response.response_body
    if copy is None or copy.chunks is None:
        return [(zero_ns + to_ns(response.stats.provider_latency_ms or 0.0), body)] if body else []
    chunks, start = [], 0
    for offset_ms, size_bytes in copy.chunks:
        chunks.append((zero_ns + to_ns(offset_ms), body[start : start + size_bytes]))
        start += size_bytes
    return chunks


def _seen_outcome(outcome: Outcome) -> Outcome:
    """How the relay saw it end: that a response tells of an error is read out of it anew."""
    return "completed" if outcome in ("http_error", "stream_error") else outcome


def _seen_detail(response: ResponseRecorded) -> str | None:
    is_read = response.outcome in ("http_error", "stream_error")
    return None if is_read or response.error is None else response.error.message


def _request(read: ReadRequest, old: RequestRecorded) -> RequestRecorded:
    placed = {name: getattr(old, name) for name in _PLACED}
    new = request_event(read, _session(old.session_id, read.exchange), old.seq, None, is_new_thread=old.is_new_thread)
    return msgspec.structs.replace(new, timestamp=old.timestamp, prev=old.prev, redaction=old.redaction, **placed)


def _response(
    exchange: Exchange, read: ReadRequest, old: ResponseRecorded, repeated: set[str], pricer: Pricer
) -> ResponseRecorded:
    facts = read.facts
    opened = OpenExchange(old.session_id, read.wire_format, facts.model, is_prewarm=facts.is_prewarm)
    response = msgspec.structs.replace(read_response(exchange, opened, pricer), redaction=old.redaction)
    new = response_event(response, old.session_id, old.seq, repeated)
    return msgspec.structs.replace(new, timestamp=old.timestamp, prev=old.prev)


def _started(event: Started, request: RequestRecorded) -> Started:
    """The session's first line says what its first request was."""
    return msgspec.structs.replace(
        event,
        model_requested=request.model_requested,
        dialect=request.dialect,
        is_streaming=request.is_streaming,
    )


def _session(session_id: str, exchange: Exchange) -> Session:
    """As much of it as an event of it asks for."""
    opened = exchange.opened
    started = Instant(exchange.key.lane, exchange.key.start_wall_ns, opened.t_ns, opened.wall_ns)
    return Session(session_id, "", "", "", None, None, started, opened.wall_ns, opened.request_id)
