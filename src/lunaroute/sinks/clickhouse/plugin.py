"""ClickHouse as a sink of config.toml: `[sinks.clickhouse]` with `url`."""

from __future__ import annotations

import msgspec

from lunaroute.sinks.base import Sink
from lunaroute.sinks.plugin import SinkPlugin, SinkSurroundings


class Options(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`clickhouse://user:password@host:8123/database`; `clickhouses://` for TLS."""


def make(options: Options, surroundings: SinkSurroundings) -> Sink:
    from .sink import ClickHouseSink

    return ClickHouseSink(options.url, surroundings.reject)


plugin = SinkPlugin(options=Options, make=make)
