"""Connections to PostgreSQL for callers that do not run an event loop.

In: a URL, `postgresql://user@host/database`, with everything that asyncpg takes as query parameters. Out: connections
that speak the index's values: moments are text as SQLite has it, sums are numbers. asyncpg needs a loop; one thread of
this module runs it, so the recorder and the pages of a dashboard can wait for an answer like for any other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from lunaroute.errors import LunarouteError, StoreUnavailable

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 120.0
_EPOCH: Final = datetime(2000, 1, 1)
"""PostgreSQL counts microseconds from here."""
_MICROSECOND: Final = timedelta(microseconds=1)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for what a connection does."""
    return asyncio.run_coroutine_threadsafe(work, _running_loop()).result()


def driver() -> Any:
    """The module `asyncpg`. Raises LunarouteError where it is not installed."""
    try:
        import asyncpg
    except ImportError:
        raise LunarouteError("asyncpg is not installed: pip install 'lunaroute[postgres]'") from None
    return asyncpg


async def connect(url: str, **settings: str) -> Any:
    """An asyncpg connection; `settings` are the server's, for this connection. Raises StoreUnavailable."""
    asyncpg = driver()
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=ANSWER_TIMEOUT_S,
            server_settings={"timezone": "UTC", "application_name": "lunaroute", **settings},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unavailable(url, error) from error
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_to_moment, decoder=_from_moment, format="tuple"
    )
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text")
    return connection


def unavailable(url: str, error: BaseException) -> StoreUnavailable:
    """One line about a store, without the password in its URL."""
    parts = urlsplit(url)
    text = " ".join(str(error).split()) or type(error).__name__
    return StoreUnavailable(f"{parts.scheme}://{parts.hostname or ''}{parts.path}: {text}")


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="postgres", daemon=True).start()
        return _loop


def _to_moment(text: str) -> tuple[int]:
    return ((datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND,)


def _from_moment(value: tuple[int]) -> str:
    return (_EPOCH + value[0] * _MICROSECOND).isoformat(" ", "microseconds")


def _number(text: str) -> int | float:
    """Sums of whole numbers are `numeric`."""
    return float(text) if "." in text or "e" in text or "N" in text else int(text)
