"""The list of sessions: a page of rows, with the dot that says what each is doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from starlette.responses import Response

from lunaroute.dashboard.asked import Asked
from lunaroute.dashboard.marks import Marks
from lunaroute.dashboard.status import SessionRow, state_of, title_of
from lunaroute.errors import FilterError
from lunaroute.query.filter import Among, Filter
from lunaroute.query.pages import Page
from lunaroute.query.session_detail import working_sessions
from lunaroute.query.sessions import Order, SessionSummary, list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.usage import is_rolled_up

from .call import PageCall

COLUMNS = {
    "models": "Models",
    "started": "Started",
    "duration": "Duration",
    "requests": "Turns",
    "tools": "Tools",
    "tokens": "Tokens",
    "cost": "Cost",
}
"""What the column picker can hide and move, in the usual order, as their heads have them."""
_PAGE = 50
_ORDERS = get_args(Order)


def sessions_page(call: PageCall) -> Response:
    marks = call.marks
    problem, found, order = None, Page[SessionSummary](items=[], next=None), "newest"
    try:
        order = call.asked.choice("order", _ORDERS, "newest")
        if call.index is not None:
            found = _find(call.index, call.asked, marks, order)
    except FilterError as error:
        problem = error
    rows = [] if call.index is None else session_rows(call.index, found.items, call.asked, marks)
    parameters = call.request.query_params
    return call.show(
        "parts/session_rows.html" if "after" in parameters else "sessions.html",
        page="sessions",
        title="Sessions",
        rows=rows,
        next=found.next,
        largest=max((one.total_tokens or 0 for one in found.items), default=0),
        order=order,
        orders=_ORDERS,
        columns=COLUMNS,
        marks=marks,
        marked=parameters.get("marked", ""),
        all_tags=sorted({tag for tags in marks.tags.values() for tag in tags}),
        has_strip=is_rolled_up(call.asked.wanted) and not parameters.get("marked"),
        is_empty_store=call.index is None,
        problem=problem,
    )


def session_rows(index: Index, sessions: Sequence[SessionSummary], asked: Asked, marks: Marks) -> list[SessionRow]:
    live = [one.session_id for one in sessions if one.completed_at is None]
    working = working_sessions(index, live) if live else set()
    return [
        SessionRow(
            summary=one,
            state=state_of(one, asked.now, is_working=one.session_id in working),
            title=title_of(one),
            is_starred=one.session_id in marks.stars,
            tags=[*one.tags, *marks.tags.get(one.session_id, [])],
        )
        for one in sessions
    ]


def _find(index: Index, asked: Asked, marks: Marks, order: str) -> Page[SessionSummary]:
    wanted = asked.wanted
    marked = asked.parameters.get("marked", "")
    if marked:
        ids = marks.stars if marked == "star" else [one for one, tags in marks.tags.items() if marked[4:] in tags]
        if not ids:
            return Page(items=[], next=None)
        wanted = wanted.and_also(Filter(conditions=(Among(field="session", names=tuple(ids)),)))
    after = asked.parameters.get("after") or None
    return list_sessions(index, wanted, limit=_PAGE, order=order, after=after)  # type: ignore[arg-type]
