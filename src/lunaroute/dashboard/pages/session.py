"""One session: what it cost, and its tabs. Texts come from the session's file a page of turns at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from lunaroute.dashboard import numbers
from lunaroute.dashboard.tool_view import DiffLine, edit_of, headline, pretty
from lunaroute.errors import NoSuchSession
from lunaroute.query.session_detail import (
    SessionCall,
    SessionExchange,
    neighbours,
    read_detail,
    session_calls,
    session_exchanges,
)
from lunaroute.query.sessions import SessionSummary, find_session
from lunaroute.query.stores.base import Index
from lunaroute.query.transcript import ToolUseView, Turn
from lunaroute.query.turns import read_turns_and_images

from .call import PageCall
from .sessions import session_rows

TABS = (
    ("transcript", "Transcript"),
    ("timeline", "Timeline"),
    ("tokens", "Tokens & context"),
    ("tools", "Tools"),
    ("diff", "Diff"),
    ("raw", "Raw"),
)
_TURNS = 20
_ROWS = 60
"""Requests or calls of a page of their tables."""


class ToolShown(msgspec.Struct, frozen=True, kw_only=True):
    use: ToolUseView
    headline: str
    arguments: str
    edit: list[DiffLine]


class TurnShown(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """From 1."""
    exchange: SessionExchange
    turn: Turn | None
    """None = the file does not have it (yet)."""
    tools: list[ToolShown]
    images: list[str]
    """Data URLs of what the request shows for the first time."""
    is_other_thread: bool
    """Not the thread of the turn before."""


class ToolSums(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    calls: int
    errors: int
    waiting: int
    total_ms: float
    longest_ms: float | None


def session_page(call: PageCall) -> Response:
    index, summary = _found(call)
    tab = call.asked.choice("tab", [name for name, _ in TABS], "transcript")
    exchanges = session_exchanges(index, summary.session_id)
    calls = session_calls(index, summary.session_id)
    before, after = neighbours(index, summary.session_id)
    marks = call.marks
    row = session_rows(index, [summary], call.asked, marks)[0]
    values: dict[str, Any] = {}
    if tab == "transcript":
        values = _turns(call, index, summary, exchanges, calls)
    elif tab == "timeline":
        values = _request_rows(call, exchanges)
    elif tab == "tools":
        values = {"sums": _tool_sums(calls), "call_count": len(calls), **_call_rows(call, calls)}
    return call.show(
        "session.html",
        page="sessions",
        title=row.title or "Session",
        tab=tab,
        tabs=TABS,
        row=row,
        session=summary,
        detail=read_detail(index, summary.session_id),
        own_tags=marks.tags.get(summary.session_id, []),
        facts=_facts(exchanges, calls),
        before=before,
        after=after,
        exchanges=exchanges,
        **values,
    )


def turns_part(call: PageCall) -> Response:
    """More turns, to be put below those that are shown."""
    index, summary = _found(call)
    exchanges = session_exchanges(index, summary.session_id)
    calls = session_calls(index, summary.session_id)
    values = _turns(call, index, summary, exchanges, calls)
    return call.show("parts/turns.html", page="sessions", title="Turns", session=summary, **values)


def requests_part(call: PageCall) -> Response:
    """More rows of the table of requests."""
    index, summary = _found(call)
    rows = _request_rows(call, session_exchanges(index, summary.session_id))
    return call.show("parts/request_rows.html", page="sessions", title="Requests", session=summary, **rows)


def calls_part(call: PageCall) -> Response:
    """More rows of the table of tool calls."""
    index, summary = _found(call)
    rows = _call_rows(call, session_calls(index, summary.session_id))
    return call.show("parts/call_rows.html", page="sessions", title="Calls", session=summary, **rows)


def _request_rows(call: PageCall, exchanges: Sequence[SessionExchange]) -> dict[str, Any]:
    first = call.asked.number("from", 1, 1_000_000)
    return {
        "shown": list(enumerate(exchanges, 1))[first - 1 : first - 1 + _ROWS],
        "tries": {one.request_id: number for number, one in enumerate(exchanges, 1)},
        "rows_next": first + _ROWS if first + _ROWS <= len(exchanges) else None,
    }


def _call_rows(call: PageCall, calls: Sequence[SessionCall]) -> dict[str, Any]:
    first = call.asked.number("from", 1, 1_000_000)
    return {
        "calls": calls[first - 1 : first - 1 + _ROWS],
        "rows_next": first + _ROWS if first + _ROWS <= len(calls) else None,
    }


def _found(call: PageCall) -> tuple[Index, SessionSummary]:
    if call.index is None:
        raise NoSuchSession("nothing was recorded yet")
    return call.index, find_session(call.index, call.request.path_params["session_id"])


def _turns(
    call: PageCall,
    index: Index,
    summary: SessionSummary,
    exchanges: Sequence[SessionExchange],
    calls: Sequence[SessionCall],
) -> dict[str, Any]:
    # One more than there are is where those will stand that are still to come.
    first = min(call.asked.number("from", _number_of(call, exchanges), 1_000_000), len(exchanges) + 1)
    shown = exchanges[first - 1 : first - 1 + _TURNS]
    ids = {one.request_id for one in shown}
    results = {one.result_request_id for one in calls if one.request_id in ids and one.result_request_id}
    sessions_dir = call.site.fetched.folder_of(summary.session_id) if ids else call.site.recordings.sessions_dir
    found, images = read_turns_and_images(sessions_dir, summary.session_id, ids, results) if ids else ([], {})
    by_id = {turn.request_id: turn for turn in found}
    last = first + len(shown) - 1
    turns = [
        _shown(first + at, one, by_id, images, exchanges[first + at - 2] if first + at > 1 else None)
        for at, one in enumerate(shown)
    ]
    is_live = summary.completed_at is None and last >= len(exchanges)
    return {
        "turns": turns,
        "unsettled_from": _first_unsettled(turns, last + 1) if is_live else None,
        "first": first,
        "last": last,
        "count": len(exchanges),
        "next_from": last + 1 if last < len(exchanges) else None,
        "previous_from": max(1, first - _TURNS) if first > 1 else None,
        "page_turns": _TURNS,
    }


def _first_unsettled(turns: Sequence[TurnShown], after_last: int) -> int:
    """Number of the first turn that may still change; from there on a running session is asked for again."""
    waits = (
        shown.number
        for shown in turns
        if shown.exchange.outcome is None or any(tool.use.output_text is None for tool in shown.tools)
    )
    return next(waits, after_last)


def _number_of(call: PageCall, exchanges: Sequence[SessionExchange]) -> int:
    """Of the turn that `at` names; else the first."""
    at = call.asked.parameters.get("at")
    return next((number for number, one in enumerate(exchanges, 1) if one.request_id == at), 1)


def _shown(
    number: int,
    exchange: SessionExchange,
    turns: Mapping[str, Turn],
    images: Mapping[str, list[str]],
    before: SessionExchange | None,
) -> TurnShown:
    turn = turns.get(exchange.request_id)
    return TurnShown(
        number=number,
        exchange=exchange,
        turn=turn,
        tools=[] if turn is None else [_tool(use) for use in turn.tool_calls],
        images=images.get(exchange.request_id, []),
        is_other_thread=before is not None and before.thread_id != exchange.thread_id,
    )


def _tool(use: ToolUseView) -> ToolShown:
    return ToolShown(
        use=use, headline=headline(use.arguments), arguments=pretty(use.arguments), edit=edit_of(use.arguments)
    )


def _facts(exchanges: Sequence[SessionExchange], calls: Sequence[SessionCall]) -> dict[str, Any]:
    """What the line below the title says."""
    model_ms = sum(one.provider_latency_ms or 0 for one in exchanges)
    waits: dict[tuple[str, str | None], float] = {}
    for one in calls:
        # Calls of one response ran side by side.
        key = (one.request_id, one.result_request_id)
        waits[key] = max(waits.get(key, 0.0), one.execution_time_ms or 0.0)
    whole_ms = numbers.ms_between(exchanges[0].started_at, exchanges[-1].completed_at) if exchanges else None
    tools_ms = sum(waits.values())
    return {
        "models": [name for name, _ in Counter(one.model_name for one in exchanges if one.model_name).most_common()],
        "retries": sum(one.retry_of is not None for one in exchanges),
        "model_ms": model_ms,
        "tools_ms": tools_ms,
        "waiting_ms": max(0.0, whole_ms - model_ms - tools_ms) if whole_ms is not None else None,
        "misses": [one for one in exchanges if one.cache_missed_tokens],
        "peak": max((one.input_tokens or 0 for one in exchanges), default=0),
        "new_tokens": _sum([one.new_input_tokens for one in exchanges]),
        "resent_tokens": _sum([one.resent_input_tokens for one in exchanges]),
    }


def _sum(values: Sequence[int | None]) -> int | None:
    """None where nobody said."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _tool_sums(calls: Sequence[SessionCall]) -> list[ToolSums]:
    groups: defaultdict[str, list[SessionCall]] = defaultdict(list)
    for one in calls:
        groups[one.tool_name].append(one)
    found = [
        ToolSums(
            name=name,
            calls=len(group),
            errors=sum(one.success is False for one in group),
            waiting=sum(one.returned_at is None for one in group),
            total_ms=sum(one.execution_time_ms or 0 for one in group),
            longest_ms=max((one.execution_time_ms for one in group if one.execution_time_ms is not None), default=None),
        )
        for name, group in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.calls, one.name))
