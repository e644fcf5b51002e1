"""Routes of the JSON API: requests → `endpoints`, their answers and errors → JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lunaroute.access.guard import TENANT
from lunaroute.errors import LunarouteError, NoSuchSession
from lunaroute.query.raw import as_curl, find_exchange, read_exchange, request_body, response_body
from lunaroute.supervisor.health import base_url
from lunaroute.supervisor.instance import find_server

from .asked import read_asked
from .endpoints import ENDPOINTS, Call, Endpoint
from .openapi import PREFIX, ErrorAnswer, openapi_document
from .site import Site

_MAX_BODY_BYTES = 256 * 1024

Handler = Callable[[Request], Awaitable[Response]]


NOT_FOR_TENANTS = "a token of one tenant cannot ask for this"


def tenant_of(request: Request) -> str | None:
    """Whose recordings the request may see; None = everybody's."""
    tenant: str | None = request.scope.get(TENANT)
    return tenant


def api_routes(site: Site) -> list[Route]:
    routes = [Route(PREFIX + one.path, _handler(site, one), methods=[one.method]) for one in ENDPOINTS]
    exchange = f"{PREFIX}/exchanges/{{request_id}}"
    return [
        *routes,
        Route(f"{exchange}/{{part:str}}", _bytes_handler(site)),
        Route(f"{PREFIX}/openapi.json", _openapi),
    ]


def status_of(error: Exception) -> int:
    """The HTTP status that says the same."""
    if isinstance(error, NoSuchSession | FileNotFoundError):
        return 404
    is_ours = isinstance(error, LunarouteError)
    # A wrong question is the reader's; LunarouteError itself says that the store cannot be read.
    return 400 if is_ours and type(error) is not LunarouteError else 503


def _handler(site: Site, endpoint: Endpoint) -> Handler:
    async def handle(request: Request) -> Response:
        if tenant_of(request) is not None and not endpoint.is_for_tenants:
            return _json(ErrorAnswer(error=NOT_FOR_TENANTS, kind="Forbidden"), 403)
        body = await _body(request) if endpoint.body is not None else b""
        return await run_in_threadpool(_answer, site, endpoint, request, body)

    return handle


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            return b""
    return body


def _answer(site: Site, endpoint: Endpoint, request: Request, body: bytes) -> Response:
    try:
        tenant = tenant_of(request)
        with site.recordings.index(tenant) as index:
            asked = read_asked(request.query_params, tenant=tenant)
            call = Call(site=site, asked=asked, index=index, path=request.path_params, body=body)
            return _json(endpoint.answer(call))
    except (LunarouteError, OSError, sqlite3.Error) as error:
        return _json(ErrorAnswer(error=str(error), kind=type(error).__name__), status_of(error))


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value, enc_hook=_json_of), status_code, media_type="application/json")


def _json_of(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def _bytes_handler(site: Site) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        part = request.path_params["part"]
        try:
            with site.recordings.index(tenant_of(request)) as index:
                if index is None:
                    raise NoSuchSession("nothing was recorded yet")
                session_id, request_id = find_exchange(index, request.path_params["request_id"])
            exchange = read_exchange(site.recordings.sessions_dir, session_id, request_id)
            if part == "curl":
                content = as_curl(exchange, _relay_url(site)).encode()
            elif part in ("request", "response"):
                content = request_body(exchange) if part == "request" else response_body(exchange)
            else:
                raise NoSuchSession(f"an exchange has no {part[:40]!r}")
        except (LunarouteError, OSError, sqlite3.Error) as error:
            return _json(ErrorAnswer(error=str(error), kind=type(error).__name__), status_of(error))
        return Response(content, media_type="text/plain; charset=utf-8")

    return handle


def _relay_url(site: Site) -> str:
    server = find_server(site.config.run_dir)
    info = None if server is None else server.info
    settings = site.config.server
    return base_url(settings.host, settings.port) if info is None else base_url(info.host, info.port)


def _openapi(_request: Request) -> Response:
    return _json(openapi_document())
