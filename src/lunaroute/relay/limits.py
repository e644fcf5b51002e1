"""[pure] What a tenant may send: so many requests a minute, bodies of so many bytes. Time is passed in.

A bucket per tenant holds a minute's requests and is filled evenly. Each relay worker has buckets of its own, with its
share of the requests: workers share nothing that a request would have to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lunaroute.capture.records import Outcome
from lunaroute.config import TenantLimits

_MOST_TENANTS = 10_000
"""Clients may name tenants as they like: those beyond share one bucket."""
_REST = "\0rest"
_MINUTE_NS = 60_000_000_000


class Refusal(msgspec.Struct, frozen=True):
    """Why a request goes no further."""

    status_code: int
    message: str
    retry_after_s: int = 0
    """0 = trying again changes nothing."""
    outcome: Outcome = "completed"
    """Of the exchange: it has an answer, if only ours."""


class TenantLimit:
    """The limits of one tenant, and what is left of them."""

    def __init__(self, tenant: str, limits: TenantLimits, workers: int) -> None:
        self._tenant = tenant
        self._max_request_bytes = limits.max_request_bytes
        self._requests_per_minute = limits.requests_per_minute
        self._capacity = max(1.0, limits.requests_per_minute / workers)
        self._left = self._capacity
        self._at_ns = 0

    def refusal(self, length: int, now_ns: int) -> Refusal | None:
        """Whether a request with a body of `length` bytes (negative = unknown) may pass now; if so, it is counted."""
        if self.is_too_large(length):
            return self.too_large()
        if self._requests_per_minute == 0:
            return None
        if self._at_ns:
            self._left = min(self._capacity, self._left + (now_ns - self._at_ns) * self._capacity / _MINUTE_NS)
        self._at_ns = now_ns
        if self._left < 1.0:
            wait_s = int((1.0 - self._left) * 60 / self._capacity) + 1
            return Refusal(429, f"{self._tenant} may send {self._requests_per_minute} requests a minute", wait_s)
        self._left -= 1.0
        return None

    def is_too_large(self, length: int) -> bool:
        return 0 < self._max_request_bytes < length

    def too_large(self) -> Refusal:
        return Refusal(413, f"{self._tenant} may send requests of at most {self._max_request_bytes} bytes")


class LimitBook:
    """Limits by tenant; `*` in the settings stands for every tenant that is not named."""

    def __init__(self, settings: Mapping[str, TenantLimits], workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._limits: dict[str, TenantLimit] = {}

    def of(self, tenant: str | None) -> TenantLimit | None:
        """None = nothing limits it."""
        settings = None if tenant is None else self._settings.get(tenant, self._settings.get("*"))
        if tenant is None or settings is None:
            return None
        known = self._limits.get(tenant)
        if known is None:
            if tenant not in self._settings and len(self._limits) >= _MOST_TENANTS and tenant != _REST:
                return self.of(_REST)
            known = self._limits[tenant] = TenantLimit(tenant.strip("\0"), settings, self._workers)
        return known
