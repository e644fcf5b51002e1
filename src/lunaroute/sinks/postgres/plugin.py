"""PostgreSQL as a sink of config.toml: `[sinks.postgres]` with `url`."""

from __future__ import annotations

import msgspec

from lunaroute.sinks.base import Sink
from lunaroute.sinks.plugin import SinkPlugin, SinkSurroundings


class Options(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`postgresql://user@host/database`; further parameters are asyncpg's."""


def make(options: Options, surroundings: SinkSurroundings) -> Sink:
    from .sink import PostgresSink

    return PostgresSink(options.url, surroundings.reject)


plugin = SinkPlugin(options=Options, make=make)
