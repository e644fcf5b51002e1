"""[io] Provider connections kept for re-use, and new ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .routes import Upstream
from .upstream import UpstreamConnection

if TYPE_CHECKING:
    from .context import RelayContext

_MOST_IDLE = 512  # per provider


class Pool:
    """Last in, first out: the connection used last is the least likely to have been closed meanwhile."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._idle: dict[str, list[UpstreamConnection]] = {}

    def take(self, upstream: Upstream) -> UpstreamConnection | None:
        """An open idle connection, if there is one."""
        idle = self._idle.get(upstream.name)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    async def connect(self, upstream: Upstream) -> UpstreamConnection:
        """A new connection. Raises OSError (TLS errors are), TimeoutError."""
        context = self._context
        async with asyncio.timeout(context.config.timeouts.connect_s):
            _, protocol = await context.loop.create_connection(
                lambda: cast(asyncio.Protocol, UpstreamConnection(context, upstream.name)),
                upstream.host,
                upstream.port,
                ssl=context.tls if upstream.is_tls else None,
                server_hostname=upstream.host if upstream.is_tls else None,
            )
        return cast(UpstreamConnection, protocol)

    def give_back(self, connection: UpstreamConnection) -> None:
        idle = self._idle.setdefault(connection.provider, [])
        if len(idle) < _MOST_IDLE and not self._context.is_stopping:
            idle.append(connection)
        else:
            connection.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """The provider closed an idle connection."""
        idle = self._idle.get(connection.provider)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def drop_idle(self, now_ns: int) -> None:
        """Close what has been idle for too long (all, when stopping)."""
        limit_ns = 0 if self._context.is_stopping else int(self._context.config.timeouts.pool_idle_s * 1e9)
        for idle in self._idle.values():
            while idle and now_ns - idle[0].last_ns >= limit_ns:
                idle.pop(0).close()
