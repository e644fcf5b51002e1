"""ClickHouse as a sink of config.toml: `[sinks.clickhouse]` with `url`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from lunaroute.sinks.base import Sink
from lunaroute.sinks.plugin import SinkPlugin, SinkSurroundings


class Options(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`clickhouse://user:password@host:8123/database`; `clickhouses://` for TLS. More addresses of a cluster come after
    the first, with commas."""
    cluster: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.-]*$")] | None = None
    """The cluster whose servers these are, by its name in their `remote_servers`; None = a single server."""


def make(options: Options, surroundings: SinkSurroundings) -> Sink:
    from .sink import ClickHouseSink

    return ClickHouseSink(options.url, surroundings.reject, cluster=options.cluster)


plugin = SinkPlugin(options=Options, make=make)
