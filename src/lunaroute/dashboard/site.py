"""What every answer is made from: recordings, the user's marks, the stream of changes, and how pages are written."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.responses import HTMLResponse

from lunaroute import __version__
from lunaroute.archive.fetched import FetchedSessions
from lunaroute.config import Config

from . import bars, numbers
from .asked import RANGES
from .hub import Hub
from .live import Live
from .markdown import render_code, render_markdown
from .marks import MarksFile
from .recordings import Recordings

FOLDER: Final = Path(__file__).parent
STATIC: Final = FOLDER / "static"
VERSION_MARK: Final = "~"
"""Before the version of `static` in an address."""

PAGES: Final = (
    ("overview", "/", "Overview"),
    ("sessions", "/sessions", "Sessions"),
    ("search", "/search", "Search"),
    ("models", "/models", "Models & cost"),
    ("tools", "/tools", "Tools"),
    ("latency", "/latency", "Latency"),
    ("compare", "/compare", "Compare"),
    ("sql", "/sql", "SQL"),
    ("health", "/health", "Health"),
    ("setup", "/setup", "Set-up"),
)
"""Name, address, title; in the order of the navigation."""


class Site:
    """One dashboard."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.recordings = Recordings(config.home, config.query.store)
        self.fetched = FetchedSessions(config)
        self.marks = MarksFile(config.home)
        self.hub = Hub(config)
        self.live = Live(self.hub)
        self._templates = _environment()

    def page(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """A template filled in; what is recorded becomes text in it, never markup."""
        return HTMLResponse(self._templates.get_template(template).render(**values), status_code)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("usd", "count", "short", "ms", "size", "percent", "iso"):
        environment.filters[name] = getattr(numbers, name)
    environment.filters["markdown"] = render_markdown
    environment.filters["code"] = render_code
    environment.globals.update(
        pages=PAGES,
        ranges=tuple(RANGES),
        version=__version__,
        static=_static,
        ratio=numbers.ratio,
        token_bar=bars.token_bar,
        share_bar=bars.share_bar,
        latency_bar=bars.latency_bar,
        sparkline=bars.sparkline,
    )
    return environment


@cache
def static_version() -> str:
    """Changes with any file in `static`."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{VERSION_MARK}{digest.hexdigest()[:10]}"


def _static(name: str) -> str:
    """The address of a file in `static`, which browsers may keep. The version is a folder, so that what scripts and
    styles name beside themselves has it too, and each script one address."""
    return f"/static/{static_version()}/{name}"
