"""What load balancers and orchestrators ask: does this process live, and can it answer?

They tell nothing of what is recorded, so the guard asks for no token here (`OPEN_PATHS`).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lunaroute.errors import LunarouteError

from .site import Site

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})


def probe_routes(site: Site) -> list[Route]:
    async def healthz(_: Request) -> Response:
        """Not handed to a thread: it is answered as long as the event loop turns."""
        return JSONResponse({"status": "ok"})

    def readyz(_: Request) -> Response:
        try:
            with site.recordings.index() as index:
                if index is not None:
                    index.execute("SELECT 1 FROM sessions LIMIT 1").fetchone()
        except (LunarouteError, OSError, sqlite3.Error) as error:
            return JSONResponse({"status": "not_ready", "reason": type(error).__name__}, 503)
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
