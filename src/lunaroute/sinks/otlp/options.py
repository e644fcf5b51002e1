"""The keys of [sinks.otlp]."""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit

import msgspec

from lunaroute.events.semconv import Version

INSTALL = "pip install 'lunaroute[otel]'"


class OtlpOptions(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: str = "http://127.0.0.1:4318"
    """The receiver's base URL; `/v1/traces` and `/v1/metrics` are added."""
    headers: dict[str, str] = {}
    """Sent with each request, such as the receiver's key."""
    semconv: Version = "v1.41"
    """Which names of the conventions are used."""
    traces: bool = True
    metrics: bool = True
    content: bool = False
    """Whether what was said goes along."""
    metrics_every_s: float = 15.0
    timeout_s: float = 10.0
    service_name: str = "lunaroute"

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"endpoint = {self.endpoint!r} is not an http(s) URL")
        if self.metrics_every_s < 1 or self.timeout_s <= 0:
            raise ValueError("metrics_every_s must be at least 1, timeout_s above 0")
        if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("google.protobuf") is None:
            raise ValueError(f"it needs packages that are not installed: {INSTALL}")
