"""[io] Spans and metrics to any receiver of OpenTelemetry, by OTLP over HTTP (docs/opentelemetry.md).

`options` are the keys of its section; `sink` the sink; `post` one request to the receiver; `messages` spans and totals
as protobuf; `state` what it has sent. Needs the extra `otel`.
"""

from __future__ import annotations

from lunaroute.sinks.base import Sink
from lunaroute.sinks.plugin import SinkPlugin, SinkSurroundings

from .options import OtlpOptions


def _make(options: OtlpOptions, surroundings: SinkSurroundings) -> Sink:
    from .sink import OtlpSink

    return OtlpSink(options, surroundings)


plugin = SinkPlugin(options=OtlpOptions, make=_make)
