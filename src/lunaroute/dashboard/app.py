"""The dashboard as an ASGI application: routes of the API, of the pages and of the static files, behind the guard."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from lunaroute.config import Config
from lunaroute.errors import LunarouteError

from .api import api_routes, status_of
from .asked import read_asked
from .guard import LOOPBACK_HOSTS, Guard
from .pages import PAGE_ROUTES, PageCall
from .site import STATIC, Site

PageHandler = Callable[[PageCall], Response]


def make_app(
    config: Config, *, hosts: Collection[str] | None = LOOPBACK_HOSTS, token: str | None = None
) -> tuple[ASGIApp, Site]:
    """The application, and what it is made from."""
    site = Site(config)
    routes: list[Route | Mount] = [
        Route(path, _page(site, handler, usual_range)) for path, handler, usual_range in PAGE_ROUTES
    ]
    app = Starlette(
        routes=[*api_routes(site), *routes, Mount("/static", StaticFiles(directory=STATIC))],
        exception_handlers={HTTPException: _http_error(site)},
    )
    return Guard(app, hosts=hosts, token=token), site


def _page(site: Site, handler: PageHandler, usual_range: str) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        problem: LunarouteError | None = None
        try:
            asked = read_asked(request.query_params, usual_range)
        except LunarouteError as error:
            # The page stays usable: what was typed stands in its field, with what is wrong below it.
            asked, problem = read_asked({}, usual_range), error
        try:
            with site.recordings.index() as index:
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
