"""Pushes to browsers that something was recorded: one watcher of the index for all of them, server-sent events out.

An event says no more than that there is something new; what a page shows of it, it asks for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from lunaroute.query.changes import ChangeWatch

LOOK_EVERY_S = 0.4
_SIGN_OF_LIFE_S = 15.0
_RETRY_MS = 1000


class Live:
    """Watches while somebody listens."""

    def __init__(self, database: Path, look_every_s: float = LOOK_EVERY_S) -> None:
        self._watch = ChangeWatch(database)
        self._look_every_s = look_every_s
        self._listeners: set[asyncio.Event] = set()
        self._watching: asyncio.Task[None] | None = None
        self._is_closed = False

    def close(self) -> None:
        """End all streams; a server that stops must not wait for them."""
        self._is_closed = True
        for listener in self._listeners:
            listener.set()

    async def events(self) -> AsyncIterator[bytes]:
        """The stream of one browser. The first event comes at once: whatever happened before is to be looked at."""
        changed = asyncio.Event()
        changed.set()
        self._listeners.add(changed)
        if self._watching is None:
            self._watching = asyncio.create_task(self._look())
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            while not self._is_closed:
                try:
                    await asyncio.wait_for(changed.wait(), _SIGN_OF_LIFE_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                changed.clear()
                yield f"event: change\ndata: {self._watch.count}\n\n".encode()
        finally:
            self._listeners.discard(changed)

    async def _look(self) -> None:
        try:
            seen = await run_in_threadpool(self._watch.look)
            while self._listeners and not self._is_closed:
                await asyncio.sleep(self._look_every_s)
                count = await run_in_threadpool(self._watch.look)
                if count != seen:
                    seen = count
                    for listener in self._listeners:
                        listener.set()
        finally:
            self._watching = None
            self._watch.close()
