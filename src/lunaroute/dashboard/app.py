"""The dashboard as an ASGI application: routes of the API, of the pages and of the static files, behind the guard."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from lunaroute.access.guard import AccessGuard
from lunaroute.config import Config
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.dashboard import CurrentPolicy

from .api import NOT_FOR_TENANTS, api_routes, status_of, tenant_of
from .asked import read_asked
from .event_routes import stream_routes
from .metrics import metrics_handler
from .pages import PAGE_ROUTES, TENANT_PAGES, PageCall
from .probes import OPEN_PATHS, probe_routes
from .site import STATIC, VERSION_MARK, Site, static_version

PageHandler = Callable[[PageCall], Response]


def make_app(config: Config) -> tuple[ASGIApp, Site]:
    """The application behind its guard, and what it is made from. Raises OSError."""
    site = Site(config)
    routes: list[BaseRoute] = [
        Route(path, _page(site, handler, usual_range)) for path, handler, usual_range in PAGE_ROUTES
    ]
    app = Starlette(
        routes=[
            *probe_routes(site),
            *api_routes(site),
            *stream_routes(site),
            *routes,
            Route("/metrics", _not_for_tenants(metrics_handler(config))),
            Mount("/static", _OwnFiles(directory=STATIC)),
        ],
        exception_handlers={HTTPException: _http_error(site)},
    )
    return AccessGuard(app, CurrentPolicy(config), OPEN_PATHS), site


def _not_for_tenants(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        if tenant_of(request) is not None:
            raise HTTPException(403, NOT_FOR_TENANTS)
        return await handler(request)

    return handle


class _OwnFiles(StaticFiles):
    """Files of ours, unlike recordings, may be kept by browsers: for as long as they are the same."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        # An older version's address, of a page that was open before an update, gets what there is now.
        is_lasting = super().get_path(scope).startswith(static_version())
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_lasting else "no-cache"
        return response

    def get_path(self, scope: Scope) -> str:
        first, _, rest = super().get_path(scope).partition(os.sep)
        return rest if first.startswith(VERSION_MARK) else os.path.join(first, rest)


def _page(site: Site, handler: PageHandler, usual_range: str) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        problem: LunarouteError | None = None
        tenant = tenant_of(request)
        if tenant is not None and handler not in TENANT_PAGES:
            return _error_page(site, request, NOT_FOR_TENANTS, 403)
        try:
            asked = read_asked(request.query_params, usual_range, tenant=tenant)
        except LunarouteError as error:
            # The page stays usable: what was typed stands in its field, with what is wrong below it.
            asked, problem = read_asked({}, usual_range, tenant=tenant), error
        try:
            with site.recordings.index(tenant) as index:
                return handler(PageCall(site=site, request=request, asked=asked, index=index, problem=problem))
        except (LunarouteError, OSError, sqlite3.Error) as error:
            return _error_page(site, request, str(error), status_of(error))

    return handle


def _error_page(site: Site, request: Request, message: str, status_code: int) -> Response:
    asked = read_asked({})
    return site.page(
        "error.html", status_code, page="", title=f"{status_code}", message=message, path=request.url.path, asked=asked
    )


def _http_error(site: Site) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = "There is no such page." if error.status_code == 404 else error.detail
        return _error_page(site, request, message, error.status_code)

    return handle
