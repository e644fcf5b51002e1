"""The JSON API: what each address answers. `api` makes routes of it, `openapi` a document.

Everything is asked of `lunaroute.query`; without an index every list is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, get_args

import msgspec

from lunaroute.errors import FilterError, NoSuchSession
from lunaroute.query.ask import ask_sql
from lunaroute.query.exchanges import CallSummary, ExchangeSummary, list_calls, list_exchanges
from lunaroute.query.fields import FIELDS
from lunaroute.query.gaps import Gaps, stream_gaps
from lunaroute.query.latency import Latency, latencies
from lunaroute.query.pages import Page
from lunaroute.query.raw import find_exchange, read_exchange
from lunaroute.query.search import Hit, search
from lunaroute.query.session_detail import (
    SessionCall,
    SessionDetail,
    SessionExchange,
    read_detail,
    session_calls,
    session_exchanges,
)
from lunaroute.query.sessions import Order, SessionSummary, find_session, list_sessions
from lunaroute.query.sql import SqlResult
from lunaroute.query.stores.base import Index
from lunaroute.query.tools import ToolUsage, tool_usage
from lunaroute.query.turns import read_turns
from lunaroute.query.usage import SUMS, Usage, some_sums, usage
from lunaroute.query.values import FACETS, known_values

from .asked import Asked
from .health import Health, read_health
from .marks import Marks, SavedQuery, SavedView
from .site import Site

T = TypeVar("T")
SQL_ROWS: Final = 1000
SQL_SECONDS: Final = 5.0
_ORDERS: Final = get_args(Order)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the API."""

    site: Site
    asked: Asked
    index: Index | None
    path: Mapping[str, str]
    body: bytes

    @property
    def recorded(self) -> Index:
        """The index, where an answer needs one. Raises NoSuchSession."""
        if self.index is None:
            raise NoSuchSession("nothing was recorded yet")
        return self.index

    def given(self, kind: type[T]) -> T:
        """The body as JSON. Raises FilterError."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise FilterError(f"the body does not fit: {error}") from None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    summary: str
    answer: Callable[[Call], Any]
    result: Any
    """The type of what `answer` gives."""
    method: str = "GET"
    parameters: tuple[str, ...] = ()
    """Names of PARAMETERS."""
    body: type | None = None

    @property
    def is_for_tenants(self) -> bool:
        """Whether a token of one tenant may ask: what reads nothing but the index and the files that it leads to."""
        return self.answer in _FOR_TENANTS


class FieldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the language of filters."""

    name: str
    kind: str
    meaning: str
    choices: tuple[str, ...]


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    summary: SessionSummary
    detail: SessionDetail
    is_starred: bool
    tags: list[str]
    """The user's own, from the dashboard."""


class SqlQuestion(msgspec.Struct, frozen=True, kw_only=True):
    statement: str


class StarGiven(msgspec.Struct, frozen=True, kw_only=True):
    is_starred: bool


class TagsGiven(msgspec.Struct, frozen=True, kw_only=True):
    tags: list[str]


class SavedName(msgspec.Struct, frozen=True, kw_only=True):
    name: str


def list_usage(call: Call) -> list[Usage] | list[dict[str, object]]:
    names = [name for name in call.asked.parameters.get("fields", "").split(",") if name]
    for name in names:
        if name not in SUMS:
            raise FilterError(f"fields={name[:40]}: must be some of {', '.join(SUMS)}")
    by = call.asked.dimensions()
    if call.index is None:
        return []
    return some_sums(call.index, call.asked.wanted, by, names) if names else usage(call.index, call.asked.wanted, by)


def list_latencies(call: Call) -> list[Latency]:
    dimensions = call.asked.dimensions()
    found = [] if call.index is None else latencies(call.index, call.asked.wanted, dimensions)
    if not {"hour", "day"} & set(dimensions):
        return found
    # A histogram for each of two thousand hours would be megabytes that nobody draws.
    return [msgspec.structs.replace(one, latency_buckets=[], ttft_buckets=[]) for one in found]


def list_gaps(call: Call) -> list[Gaps]:
    return [] if call.index is None else [stream_gaps(call.index, call.asked.wanted)]


def list_tools(call: Call) -> list[ToolUsage]:
    return [] if call.index is None else tool_usage(call.index, call.asked.wanted)


def _page(call: Call) -> dict[str, Any]:
    return {"limit": call.asked.number("limit", 50), "after": call.asked.parameters.get("after") or None}


def some_sessions(call: Call) -> Page[SessionSummary]:
    if call.index is None:
        return Page(items=[], next=None)
    order = call.asked.choice("order", _ORDERS, "newest")
    return list_sessions(call.index, call.asked.wanted, order=order, **_page(call))  # type: ignore[arg-type]


def some_exchanges(call: Call) -> Page[ExchangeSummary]:
    return Page(items=[], next=None) if call.index is None else _exchanges(call, call.index)


def _exchanges(call: Call, index: Index) -> Page[ExchangeSummary]:
    return list_exchanges(index, call.asked.wanted, **_page(call))


def some_calls(call: Call) -> Page[CallSummary]:
    return Page(items=[], next=None) if call.index is None else list_calls(call.index, call.asked.wanted, **_page(call))


def some_hits(call: Call) -> Page[Hit]:
    return Page(items=[], next=None) if call.index is None else search(call.index, call.asked.wanted, **_page(call))


def one_session(call: Call) -> SessionAnswer:
    summary = find_session(call.recorded, call.path["session_id"])
    marks = call.site.marks.read()
    return SessionAnswer(
        summary=summary,
        detail=read_detail(call.recorded, summary.session_id),
        is_starred=summary.session_id in marks.stars,
        tags=marks.tags.get(summary.session_id, []),
    )


def exchanges_of(call: Call) -> list[SessionExchange]:
    return session_exchanges(call.recorded, find_session(call.recorded, call.path["session_id"]).session_id)


def calls_of(call: Call) -> list[SessionCall]:
    return session_calls(call.recorded, find_session(call.recorded, call.path["session_id"]).session_id)


def one_exchange(call: Call) -> Any:
    session_id, request_id = find_exchange(call.recorded, call.path["request_id"])
    return read_exchange(call.site.fetched.folder_of(session_id), session_id, request_id)


def one_turn(call: Call) -> Any:
    session_id, request_id = find_exchange(call.recorded, call.path["request_id"])
    results = {
        one.result_request_id for one in session_calls(call.recorded, session_id) if one.request_id == request_id
    }
    folder = call.site.fetched.folder_of(session_id)
    turns = read_turns(folder, session_id, {request_id}, {one for one in results if one})
    return turns[0] if turns else None


def list_fields(_call: Call) -> list[FieldAnswer]:
    return [
        FieldAnswer(name=name, kind=field.kind, meaning=field.meaning, choices=field.choices)
        for name, field in FIELDS.items()
    ]


def list_values(call: Call) -> list[str]:
    field = call.path["field"]
    if field not in FACETS:
        raise FilterError(f"{field[:40]}: must be one of {', '.join(sorted(FACETS))}")
    return [] if call.index is None else known_values(call.index, field)


def answer_sql(call: Call) -> SqlResult:
    statement = call.given(SqlQuestion).statement
    return ask_sql(call.recorded, statement, max_rows=SQL_ROWS, max_seconds=SQL_SECONDS)


def health(call: Call) -> Health:
    return read_health(call.site.config, call.index)


def marks(call: Call) -> Marks:
    return call.site.marks.read()


def set_star(call: Call) -> Marks:
    session_id = find_session(call.recorded, call.path["session_id"]).session_id
    return call.site.marks.star(session_id, is_starred=call.given(StarGiven).is_starred)


def set_tags(call: Call) -> Marks:
    session_id = find_session(call.recorded, call.path["session_id"]).session_id
    return call.site.marks.tag(session_id, call.given(TagsGiven).tags)


def save_view(call: Call) -> Marks:
    return call.site.marks.save_view(call.given(SavedView))


def save_query(call: Call) -> Marks:
    return call.site.marks.save_query(call.given(SavedQuery))


def remove_view(call: Call) -> Marks:
    return call.site.marks.remove("views", call.given(SavedName).name)


def remove_query(call: Call) -> Marks:
    return call.site.marks.remove("queries", call.given(SavedName).name)


_FOR_TENANTS: Final = frozenset(
    {
        *(list_usage, list_latencies, list_gaps, list_tools, some_sessions, some_exchanges, some_calls, some_hits),
        *(one_session, exchanges_of, calls_of, one_exchange, one_turn, list_fields, list_values),
    }
)
PARAMETERS: Final = {
    "q": "A filter, as docs/queries.md describes it.",
    "range": "How far back, where the filter names no `since:`: 1h, 24h, 7d, 30d, 90d or all (the default).",
    "by": "What to group by, separated by commas: hour, day, provider, model, client.",
    "fields": "Only these sums beside the groups, separated by commas; without it, all fields.",
    "order": f"{', '.join(_ORDERS)}; the largest first.",
    "limit": "At most so many, up to 500.",
    "after": "`next` of the page before.",
}
_SPAN: Final = ("q", "range")
_PAGED: Final = (*_SPAN, "limit", "after")
_SESSION: Final = "/sessions/{session_id}"

ENDPOINTS: Final = (
    Endpoint(
        path="/usage",
        summary="Requests, tokens, cost and time by group",
        answer=list_usage,
        result=list[Usage],
        parameters=(*_SPAN, "by", "fields"),
    ),
    Endpoint(
        path="/latency",
        summary="Percentiles of latency and first token by group, with histograms where it is not by time",
        answer=list_latencies,
        result=list[Latency],
        parameters=(*_SPAN, "by"),
    ),
    Endpoint(
        path="/gaps",
        summary="How evenly streams arrived: pauses between chunks, time by output token; of the newest 10,000",
        answer=list_gaps,
        result=list[Gaps],
        parameters=_SPAN,
    ),
    Endpoint(
        path="/tools",
        summary="Tools, the most called first",
        answer=list_tools,
        result=list[ToolUsage],
        parameters=_SPAN,
    ),
    Endpoint(
        path="/sessions",
        summary="Sessions, the newest or the largest first",
        answer=some_sessions,
        result=Page[SessionSummary],
        parameters=(*_PAGED, "order"),
    ),
    Endpoint(path=_SESSION, summary="One session", answer=one_session, result=SessionAnswer),
    Endpoint(
        path=f"{_SESSION}/exchanges",
        summary="Its exchanges, as numbers",
        answer=exchanges_of,
        result=list[SessionExchange],
    ),
    Endpoint(path=f"{_SESSION}/calls", summary="Its tool calls", answer=calls_of, result=list[SessionCall]),
    Endpoint(
        path=f"{_SESSION}/star", summary="Star it, or not", answer=set_star, result=Marks, method="PUT", body=StarGiven
    ),
    Endpoint(
        path=f"{_SESSION}/tags", summary="Give it tags", answer=set_tags, result=Marks, method="PUT", body=TagsGiven
    ),
    Endpoint(
        path="/exchanges",
        summary="Exchanges, the newest first",
        answer=some_exchanges,
        result=Page[ExchangeSummary],
        parameters=_PAGED,
    ),
    Endpoint(path="/exchanges/{request_id}", summary="One exchange, as recorded", answer=one_exchange, result=Any),
    Endpoint(
        path="/exchanges/{request_id}/turn", summary="The same as a turn of a conversation", answer=one_turn, result=Any
    ),
    Endpoint(
        path="/calls",
        summary="Tool calls, the newest first",
        answer=some_calls,
        result=Page[CallSummary],
        parameters=_PAGED,
    ),
    Endpoint(
        path="/search", summary="What was said, where it was new", answer=some_hits, result=Page[Hit], parameters=_PAGED
    ),
    Endpoint(path="/fields", summary="What a filter can name", answer=list_fields, result=list[FieldAnswer]),
    Endpoint(path="/values/{field}", summary="Recorded names of a field", answer=list_values, result=list[str]),
    Endpoint(
        path="/sql",
        summary="What one reading statement answers",
        answer=answer_sql,
        result=SqlResult,
        method="POST",
        body=SqlQuestion,
    ),
    Endpoint(path="/health", summary="Relay, recorder, disk, prices and settings", answer=health, result=Health),
    Endpoint(path="/marks", summary="Stars, tags, saved views and queries", answer=marks, result=Marks),
    Endpoint(path="/views", summary="Save a view", answer=save_view, result=Marks, method="PUT", body=SavedView),
    Endpoint(path="/views", summary="Remove a view", answer=remove_view, result=Marks, method="DELETE", body=SavedName),
    Endpoint(path="/queries", summary="Save a query", answer=save_query, result=Marks, method="PUT", body=SavedQuery),
    Endpoint(
        path="/queries", summary="Remove a query", answer=remove_query, result=Marks, method="DELETE", body=SavedName
    ),
)
