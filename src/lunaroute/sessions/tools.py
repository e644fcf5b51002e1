"""Tool calls and their results: calls of responses and results of later requests in, pairs out.

A call is known from the response that asked for it, a partial one too. Clients re-send their history with every
request, so a result is news only the first time: the moment it is paired its call is no longer pending, and one look-up
per result keeps a request linear. A result whose call this conversation never saw is not recorded: it is history from
before the recording, whose call, time and arguments nobody measured.

Some providers give calls no id (Gemini, OpenAI's older `function_call`). Such a call gets one of our own, and its
result is the next one for a tool of that name in the newest turn of its thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from lunaroute.capture.ids import own_call_id
from lunaroute.dialects.facts import ToolCall, ToolResult

from .moments import elapsed_ns
from .state import Instant, PairedCall, PendingCall, Session

MAX_PENDING_CALLS = 1024
"""Per session; calls that are never answered leave oldest first."""
MAX_ANSWERED_CALLS = 4096
"""Per session. Ids are unique at the provider; a repeated one comes from a retry and follows closely."""
_MAX_GROUPS = 64
"""Responses with calls whose waiting time is remembered."""


def pair_results(
    session: Session,
    results: Sequence[ToolResult],
    arrived: Instant,
    *,
    thread_id: str = "",
    nameless: Sequence[ToolResult] = (),
) -> list[PairedCall]:
    """The results that answer a pending call, in order. Changes nothing; `settle` does.

    `nameless` are results that may be paired by the tool's name: those of the thread's newest turn, if it is new."""
    pending = session.pending_calls
    if not pending:
        return []
    pairs: dict[str, PairedCall] = {}
    for result in results:
        call = pending.get(result.tool_call_id or "")
        if call is not None and result.tool_call_id and result.tool_call_id not in pairs:
            pairs[result.tool_call_id] = _pair(result.tool_call_id, call, result, arrived)
    waiting = [(key, call) for key, call in pending.items() if not call.has_id and call.thread_id == thread_id]
    for result in nameless if waiting else ():
        if result.tool_call_id in pending or result.tool_call_id in session.answered_calls:
            continue
        found = next((one for one in waiting if one[1].tool_name == result.tool_name), None)
        if found is not None:
            waiting.remove(found)
            pairs[found[0]] = _pair(found[0], found[1], result, arrived)
    return list(pairs.values())


def _pair(tool_call_id: str, call: PendingCall, result: ToolResult, arrived: Instant) -> PairedCall:
    return PairedCall(tool_call_id, call, result, elapsed_ns(call.ended, arrived))


def settle(session: Session, pairs: list[PairedCall]) -> int:
    """The paired calls are answered; what comes for them again is history.

    Returns how much longer the client waited for tools, in ns: the calls of one response ran side by side."""
    more_ns = 0
    for pair in pairs:
        del session.pending_calls[pair.tool_call_id]
        session.answered_calls[pair.tool_call_id] = None
        waited_ns = session.waited_ns.pop(pair.call.call_request_id, 0)
        more_ns += max(0, pair.execution_ns - waited_ns)
        session.waited_ns[pair.call.call_request_id] = max(waited_ns, pair.execution_ns)
    _bound(session.answered_calls, MAX_ANSWERED_CALLS)
    _bound(session.waited_ns, _MAX_GROUPS)
    return more_ns


def call_ids(request_id: str, calls: Sequence[ToolCall]) -> list[str]:
    """The calls' ids; `<request_id>#<n>` where the provider gave none."""
    return [call.tool_call_id or own_call_id(request_id, number) for number, call in enumerate(calls, 1)]


def repeated_calls(session: Session, tool_call_ids: Sequence[str]) -> frozenset[str]:
    """The ids that an earlier response of this session had already."""
    known = (one for one in tool_call_ids if one in session.pending_calls or one in session.answered_calls)
    return frozenset(known)


def remember_calls(
    session: Session,
    calls: Sequence[ToolCall],
    *,
    request_id: str,
    model_name: str | None,
    response_ended: Instant,
    thread_id: str = "",
) -> None:
    """Wait for the results of a response's client-executed calls."""
    tool_call_ids = call_ids(request_id, calls)
    repeated = repeated_calls(session, tool_call_ids)
    for tool_call_id, call in zip(tool_call_ids, calls, strict=True):
        if tool_call_id not in repeated:
            session.pending_calls[tool_call_id] = PendingCall(
                call.tool_name,
                call.arguments,
                call.input_size_bytes,
                request_id,
                model_name,
                _call_ended(call, response_ended),
                len(calls),
                thread_id,
                bool(call.tool_call_id),
            )
    _bound(session.pending_calls, MAX_PENDING_CALLS)


def _call_ended(call: ToolCall, response_ended: Instant) -> Instant:
    if call.t_ns is None:
        return response_ended
    wall_ns = response_ended.wall_ns + (call.t_ns - response_ended.t_ns)
    return Instant(response_ended.lane, response_ended.start_wall_ns, call.t_ns, wall_ns)


def _bound(entries: dict[str, PendingCall] | dict[str, None] | dict[str, int], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]
