"""[io] The other end of the live socket, for watchers with an event loop.

A recorder that is not there, or ends, is waited for; who watches need not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from .address import connectable
from .wire import Hello, Update, encode, read_update

_RECONNECT_S = 0.25
_MAX_LINE_BYTES = 256 << 20


async def updates(path: Path, hello: Hello) -> AsyncIterator[Update | None]:
    """What the recorder says, without end; None = it is not there, and all that was in flight is unknown."""
    while True:
        with suppress(OSError, ValueError):
            async for update in _of_connection(path, hello):
                yield update
        yield None
        await asyncio.sleep(_RECONNECT_S)


async def _of_connection(path: Path, hello: Hello) -> AsyncIterator[Update]:
    with connectable(path) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=_MAX_LINE_BYTES)
    try:
        writer.write(encode(hello))
        while line := await reader.readline():
            yield read_update(line)
    finally:
        writer.close()
