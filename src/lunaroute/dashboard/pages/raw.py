"""Parts of the session page that show bytes: one exchange as it was on the wire, and against the one before."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lunaroute.dashboard.body_diff import diff_bodies
from lunaroute.dashboard.tool_view import pretty
from lunaroute.errors import LunarouteError, NoSuchSession
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.query.raw import RecordedExchange, read_exchange
from lunaroute.query.session_detail import SessionExchange, session_exchanges
from lunaroute.query.sessions import find_session

from .call import PageCall

_MOST_CHARS = 200_000
_MOST_CHUNKS = 1000


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of the response gave."""

    at_ms: float
    gap_ms: float
    text: str


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A body, as far as a page shows it."""

    text: str
    is_cut: bool
    size: int


def raw_part(call: PageCall) -> Response:
    _, exchange, number = _chosen(call)
    response = exchange.response
    return call.show(
        "parts/raw.html",
        page="sessions",
        title="Raw",
        exchange=exchange,
        number=number,
        request_body=_text(request_bytes(exchange.request)),
        response_body=None if response is None else _text(_json_of(exchange)),
        chunks=_chunks(exchange),
    )


def diff_part(call: PageCall) -> Response:
    exchanges, exchange, number = _chosen(call)
    this = exchanges[number - 1]
    before = next(
        (one for one in reversed(exchanges[: number - 1]) if one.thread_id == this.thread_id and not one.is_prewarm),
        None,
    )
    found = None
    if before is not None:
        earlier = _read(call, before)
        found = diff_bodies(request_bytes(earlier.request), request_bytes(exchange.request))
    return call.show(
        "parts/diff.html",
        page="sessions",
        title="Diff",
        number=number,
        before_number=None if before is None else exchanges.index(before) + 1,
        diff=found,
        this=this,
    )


def _chosen(call: PageCall) -> tuple[list[SessionExchange], RecordedExchange, int]:
    """(exchanges of the session, the one that is asked for, its number)."""
    if call.index is None:
        raise NoSuchSession("nothing was recorded yet")
    session_id = find_session(call.index, call.request.path_params["session_id"]).session_id
    exchanges = session_exchanges(call.index, session_id)
    number = min(call.asked.number("n", len(exchanges), 1_000_000), len(exchanges))
    return exchanges, _read(call, exchanges[number - 1], session_id), number


def _read(call: PageCall, one: SessionExchange, session_id: str | None = None) -> RecordedExchange:
    if session_id is None:
        assert call.index is not None
        session_id = find_session(call.index, call.request.path_params["session_id"]).session_id
    return read_exchange(call.site.fetched.folder_of(session_id), session_id, one.request_id)


def _json_of(exchange: RecordedExchange) -> bytes:
    """The message that a response amounts to; its bytes, where it is none."""
    assert exchange.response is not None
    rebuilt = bytes(exchange.response.response_json)
    return rebuilt if rebuilt != b"null" else response_bytes(exchange.response)


def _text(body: bytes) -> Text:
    text = pretty(body.decode("utf-8", "replace"))
    return Text(text=text[:_MOST_CHARS], is_cut=len(text) > _MOST_CHARS, size=len(body))


def _chunks(exchange: RecordedExchange) -> list[Chunk]:
    """A stream as it arrived."""
    response = exchange.response
    copy = None if response is None else response.response_body
    if response is None or copy is None or not copy.chunks or copy.content_encoding is not None:
        return []
    try:
        body = response_bytes(response)
    except LunarouteError:
        return []
    found, at, last_ms = [], 0, 0.0
    for at_ms, size in copy.chunks[:_MOST_CHUNKS]:
        text = body[at : at + size].decode("utf-8", "replace")
        found.append(Chunk(at_ms=at_ms, gap_ms=at_ms - last_ms, text=text))
        at, last_ms = at + size, at_ms
    return found
