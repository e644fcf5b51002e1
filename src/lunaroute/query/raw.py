"""The bytes of one exchange, from its session's file.

In: a request id, or the beginning of one. Out: its events, its bodies as they were on the wire (their hash is
checked), a curl command that would send the request again.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import msgspec

from lunaroute.errors import AmbiguousPrefix, LunarouteError, NoSuchSession
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.session_file import BadLine, read_events

from .lines import events_of
from .stores.base import Index

_PREFIX = re.compile(r"[0-9a-f-]{1,36}")
_KEYS = {"anthropic": ("x-api-key", "$ANTHROPIC_API_KEY"), "openai": ("authorization", "Bearer $OPENAI_API_KEY")}
_MADE_BY_CURL = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}


class RecordedExchange(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's file has of an exchange."""

    request: RequestRecorded
    response: ResponseRecorded | None
    """None = none yet."""


def find_exchange(connection: Index, prefix: str) -> tuple[str, str]:
    """(session_id, request_id) of the one exchange whose id starts with `prefix`; of a session's id, its first
    exchange. Raises NoSuchSession, AmbiguousPrefix, sqlite3.Error."""
    text = prefix.strip().lower()
    if not _PREFIX.fullmatch(text):
        raise NoSuchSession(f"{prefix[:60]!r} is no id")
    for table in ("session_stats", "sessions"):
        key = "request_id" if table == "session_stats" else "session_id"
        rows = connection.execute(
            f"SELECT DISTINCT session_id, request_id FROM {table} WHERE {key} >= ? AND {key} < ? LIMIT 3",
            (text, f"{text}g"),
        ).fetchall()
        if len(rows) == 1:
            return str(rows[0][0]), str(rows[0][1])
        if rows:
            raise AmbiguousPrefix(f"{text!r} could be {', '.join(row[key == 'request_id'] for row in rows)} …")
    raise NoSuchSession(f"no exchange has an id that starts with {text!r}")


def read_exchange(sessions_dir: Path, session_id: str, request_id: str) -> RecordedExchange:
    """Raises NoSuchSession when the session's file does not have it, OSError."""
    path = existing_file(sessions_dir, session_id)
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {sessions_dir}")
    request, response = None, None
    for event in events_of(path, {request_id}):
        if isinstance(event, RequestRecorded):
            request = event
        elif isinstance(event, ResponseRecorded):
            response = event
    if request is None:
        raise NoSuchSession(f"{path} does not have the request {request_id}")
    return RecordedExchange(request=request, response=response)


def read_exchanges(sessions_dir: Path, session_id: str) -> list[RecordedExchange]:
    """All of a session, in the order of their requests. Raises NoSuchSession, OSError."""
    path = existing_file(sessions_dir, session_id)
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {sessions_dir}")
    requests: dict[str, RequestRecorded] = {}
    responses: dict[str, ResponseRecorded] = {}
    bad: list[BadLine] = []
    for event in read_events(path, bad.append):
        if isinstance(event, RequestRecorded):
            requests[event.request_id] = event
        elif isinstance(event, ResponseRecorded):
            responses[event.request_id] = event
    return [RecordedExchange(request=one, response=responses.get(key)) for key, one in requests.items()]


def session_of_response(connection: Index, response_id: str) -> str | None:
    """The session of the exchange whose response has this id, by the index. Raises sqlite3.Error."""
    row = connection.execute(
        "SELECT session_id FROM session_stats WHERE response_id = ? ORDER BY started_at DESC LIMIT 1", (response_id,)
    ).fetchone()
    return None if row is None else str(row[0])


def request_body(exchange: RecordedExchange) -> bytes:
    """Raises LunarouteError where the file was changed."""
    _refuse_deleted(exchange)
    return _checked(request_bytes(exchange.request), exchange.request.body_sha256)


def response_body(exchange: RecordedExchange) -> bytes:
    """Raises LunarouteError where there is no response yet, or the file was changed."""
    if exchange.response is None:
        raise LunarouteError("there is no response yet")
    _refuse_deleted(exchange)
    return _checked(response_bytes(exchange.response), exchange.response.body_sha256)


def as_curl(exchange: RecordedExchange, base_url: str = "http://127.0.0.1:8081") -> str:
    """A command for a POSIX shell. Keys were never recorded: the usual variable stands for them.
    Raises LunarouteError."""
    request = exchange.request
    body = request_body(exchange)
    if request.websocket is not None:
        raise LunarouteError("this exchange went over a WebSocket, which curl cannot repeat")
    words = ["curl", "-X", shlex.quote(request.method), shlex.quote(f"{base_url}{request.target}")]
    for name, value in request.request_headers:
        if name.lower() not in _MADE_BY_CURL:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if request.provider in _KEYS:
        name, value = _KEYS[request.provider]
        words += ["-H", f'"{name}: {value}"']
    if not body:
        return " ".join(words)
    try:
        return " ".join([*words, "--data-binary", shlex.quote(body.decode("utf-8"))])
    except UnicodeDecodeError:
        return f"lunaroute sessions raw {request.request_id} | {' '.join(words)} --data-binary @-"


def _refuse_deleted(exchange: RecordedExchange) -> None:
    if exchange.request.bodies_deleted:
        raise LunarouteError("the bodies of this session were deleted when their time was over (storage settings)")


def _checked(body: bytes, sha256: str) -> bytes:
    if not sha256:
        raise LunarouteError("this exchange comes from a client's own transcript, which has no bytes of the wire")
    if hashlib.sha256(body).hexdigest() != sha256:
        raise LunarouteError("the recorded bytes do not have the recorded hash: the file was changed")
    return body
