"""Tool calls and their results: calls of responses and results of later requests in, pairs out.

A call is known from the response that asked for it, a partial one too. Clients re-send their history with every
request, so a result is news only the first time: the moment it is paired its call is no longer pending, and one look-up
per result keeps a request linear. A result whose call this session never saw is not recorded: it is history from before
the recording (or before the session), whose call, time and arguments nobody measured.
"""

from __future__ import annotations

import re

import msgspec

from lunaroute.dialects.facts import ToolCall, ToolResult

from .state import Instant, PendingCall, Session, elapsed_ns

MAX_PENDING_CALLS = 1024
"""Per session; calls that are never answered leave oldest first."""
MAX_ANSWERED_CALLS = 4096
"""Per session. Ids are unique at the provider; a repeated one comes from a retry and follows closely."""


class PairedCall(msgspec.Struct, frozen=True):
    """A tool call and the result it got."""

    call: PendingCall
    result: ToolResult
    execution_ns: int
    """End of the call's block → arrival of the request with the result: an upper bound of the tool's own time."""


def pair_results(session: Session, results: list[ToolResult], arrived: Instant) -> list[PairedCall]:
    """The results that answer a pending call, in order. Changes nothing; `settle` does."""
    pending = session.pending_calls
    if not pending:
        return []
    pairs: dict[str, PairedCall] = {}
    for result in results:
        call = pending.get(result.tool_call_id)
        if call is not None and result.tool_call_id not in pairs:
            pairs[result.tool_call_id] = PairedCall(call, result, elapsed_ns(call.ended, arrived))
    return list(pairs.values())


def settle(session: Session, pairs: list[PairedCall]) -> None:
    """The paired calls are answered; what comes for them again is history."""
    for pair in pairs:
        tool_call_id = pair.result.tool_call_id
        del session.pending_calls[tool_call_id]
        session.answered_calls[tool_call_id] = None
    while len(session.answered_calls) > MAX_ANSWERED_CALLS:
        del session.answered_calls[next(iter(session.answered_calls))]


def remember_calls(
    session: Session,
    calls: list[ToolCall],
    *,
    request_id: str,
    model_name: str | None,
    response_ended: Instant,
) -> None:
    """Wait for the results of a response's client-executed calls. A call without an id can not be paired."""
    is_shared_bound = len(calls) > 1
    for call in calls:
        tool_call_id = call.tool_call_id
        if not tool_call_id or tool_call_id in session.pending_calls or tool_call_id in session.answered_calls:
            continue
        session.pending_calls[tool_call_id] = PendingCall(
            call.tool_name,
            call.arguments,
            call.input_size_bytes,
            request_id,
            model_name,
            _call_ended(call, response_ended),
            is_shared_bound,
        )
    while len(session.pending_calls) > MAX_PENDING_CALLS:
        del session.pending_calls[next(iter(session.pending_calls))]


def _call_ended(call: ToolCall, response_ended: Instant) -> Instant:
    if call.t_ns is None:
        return response_ended
    wall_ns = response_ended.wall_ns + (call.t_ns - response_ended.t_ns)
    return Instant(response_ended.lane, response_ended.start_wall_ns, call.t_ns, wall_ns)


_EXIT_LINE = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d+)$", re.MULTILINE)
"""Codex's line, in the header it puts above a command's output."""
_HEADER_CHARS = 400


class _ExitMetadata(msgspec.Struct):
    exit_code: int


class _ExitReport(msgspec.Struct):
    """Codex's older form: the output and what is known about it, as one JSON object."""

    metadata: _ExitMetadata


_exit_report = msgspec.json.Decoder(_ExitReport)


def succeeded(result: ToolResult) -> bool | None:
    """Whether the tool did what it should: what the client said, else the exit code it reported in a form of its own.

    None where neither is there. Words like "error" in an output prove nothing and are not looked at.
    """
    if result.is_error is not None:
        return not result.is_error
    if result.output_text.startswith("{"):
        return _exited_with_zero(result.output_text)
    header, separator, _ = result.output_text[:_HEADER_CHARS].partition("\nOutput:")
    match = _EXIT_LINE.search(header) if separator else None
    return None if match is None else int(match[1]) == 0


def _exited_with_zero(text: str) -> bool | None:
    try:
        return _exit_report.decode(text).metadata.exit_code == 0
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
