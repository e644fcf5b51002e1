"""Two sessions side by side: what they cost and how they went, turn by turn, and the order of their tools."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec
from starlette.responses import Response

from lunaroute.dashboard import numbers
from lunaroute.dashboard.status import SessionRow
from lunaroute.errors import AmbiguousPrefix, NoSuchSession
from lunaroute.query.session_detail import (
    SessionDetail,
    SessionExchange,
    read_detail,
    session_calls,
    session_exchanges,
)
from lunaroute.query.sessions import SessionSummary, find_session, list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.transcript import Turn
from lunaroute.query.turns import read_turns

from .call import PageCall
from .sessions import session_rows
from .turn_pairs import ComparedTurn, excerpt, pair_turns

_CHOICES = 30
_MOST_STEPS = 1000
_MOST_TURNS = 200
"""Texts of so many turns of each are read from its file."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    row: SessionRow
    detail: SessionDetail
    steps: list[str]
    """Names of its tools, in the order in which they were called."""
    turns: list[ComparedTurn]

    @property
    def summary(self) -> SessionSummary:
        return self.row.summary


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    left: str
    right: str
    change: float | None
    """Right against left, as a share."""
    is_less_better: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of tool calls of both."""

    is_same: bool
    left: list[str]
    right: list[str]


def compare_page(call: PageCall) -> Response:
    parameters = call.request.query_params
    chosen = [parameters.get("a", ""), parameters.get("b", "")]
    sides: list[Side | None] = [None, None]
    problem = None
    choices: list[SessionRow] = []
    if call.index is not None:
        marks = call.marks
        found = list_sessions(call.index, limit=_CHOICES).items
        choices = session_rows(call.index, found, call.asked, marks)
        try:
            sides = [_side(call, call.index, one) if one else None for one in chosen]
        except (NoSuchSession, AmbiguousPrefix) as error:
            problem = error
    left, right = sides
    is_whole = left is not None and right is not None
    return call.show(
        "compare.html",
        page="compare",
        title="Compare",
        chosen=chosen,
        choices=choices,
        left=left,
        right=right,
        measures=_measures(left, right) if left is not None and right is not None else [],
        pairs=pair_turns(left.turns, right.turns) if left is not None and right is not None else [],
        most_turns=_MOST_TURNS,
        is_cut=is_whole and any(len(one.turns) < one.summary.request_count for one in sides if one is not None),
        steps=_steps(left.steps, right.steps) if left is not None and right is not None else [],
        problem=problem,
    )


def _side(call: PageCall, index: Index, prefix: str) -> Side:
    summary = find_session(index, prefix)
    row = session_rows(index, [summary], call.asked, call.marks)[0]
    calls = session_calls(index, summary.session_id)[:_MOST_STEPS]
    exchanges = [one for one in session_exchanges(index, summary.session_id) if not one.is_prewarm][:_MOST_TURNS]
    folder = call.site.fetched.folder_of(summary.session_id)
    found = read_turns(folder, summary.session_id, {one.request_id for one in exchanges})
    turns = {one.request_id: one for one in found}
    return Side(
        row=row,
        detail=read_detail(index, summary.session_id),
        steps=[one.tool_name for one in calls],
        turns=[_turn(number, one, turns.get(one.request_id)) for number, one in enumerate(exchanges, 1)],
    )


def _turn(number: int, one: SessionExchange, turn: Turn | None) -> ComparedTurn:
    return ComparedTurn(
        number=number,
        request_id=one.request_id,
        asked="" if turn is None else excerpt(turn.request_text),
        answered="" if turn is None else excerpt(turn.response_text or turn.error or ""),
        tools=() if turn is None else tuple(use.tool_name for use in turn.tool_calls),
        input_tokens=one.input_tokens,
        output_tokens=one.output_tokens,
        latency_ms=one.provider_latency_ms,
        cost_usd=one.total_cost_usd,
        is_failed=one.success is False,
    )


def _measures(left: Side, right: Side) -> list[Measure]:
    one, other = left.summary, right.summary
    rows: list[tuple[str, Any, Any, Any, bool]] = [
        ("Cost", numbers.usd, one.total_cost_usd, other.total_cost_usd, True),
        ("Requests", numbers.count, one.request_count, other.request_count, True),
        ("Failed requests", numbers.count, one.error_count, other.error_count, True),
        ("Tool calls", numbers.count, one.tool_call_count, other.tool_call_count, True),
        ("Failed tool calls", numbers.count, one.tool_error_count, other.tool_error_count, True),
        ("Input tokens", numbers.short, one.input_tokens, other.input_tokens, True),
        ("Cache hits", numbers.percent, _cached(one), _cached(other), False),
        ("Output tokens", numbers.short, one.output_tokens, other.output_tokens, True),
        ("Thinking tokens", numbers.short, one.thinking_tokens, other.thinking_tokens, True),
        ("Duration", numbers.ms, one.total_duration_ms, other.total_duration_ms, True),
        ("Waiting for the provider", numbers.ms, one.provider_latency_ms, other.provider_latency_ms, True),
        ("Missed cache hits", numbers.usd, left.detail.cache_miss_cost_usd, right.detail.cache_miss_cost_usd, True),
    ]
    return [
        Measure(
            name=name,
            left=write(a),
            right=write(b),
            change=b / a - 1 if a and b is not None else None,
            is_less_better=is_less_better,
        )
        for name, write, a, b, is_less_better in rows
    ]


def _cached(session: SessionSummary) -> float | None:
    return numbers.ratio(session.cache_read_tokens, session.input_tokens)


def _steps(left: list[str], right: list[str]) -> list[Step]:
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    return [
        Step(is_same=kind == "equal", left=left[a:b], right=right[c:d]) for kind, a, b, c, d in matcher.get_opcodes()
    ]
