"""What a pipeline is given, keeps and gives out besides events."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lunaroute.assemble.exchange import (
    Exchange,
)
from lunaroute.pricing import CostSums
from lunaroute.redact.settings import RedactionSettings
from lunaroute.stats import SessionSums


class PipelineSettings(msgspec.Struct, frozen=True, kw_only=True):
    idle_timeout_ns: int = 1_800_000_000_000
    snapshot_every_exchanges: int = 50
    snapshot_every_ns: int = 300_000_000_000
    own_prices: Mapping[str, Mapping[str, float]] = {}
    """The user's own prices, see `pricing.own`."""
    node: str | None = None
    """The name of this machine, for `started`."""
    redaction: RedactionSettings | None = None
    """None: everything is recorded as it is."""


class PoisonExchange(msgspec.Struct, frozen=True):
    """An exchange that broke a stage and was recorded by its bytes alone."""

    exchange: Exchange
    reason: str


class StateChanges(msgspec.Struct, frozen=True):
    """What to store, and what to forget, so that `Pipeline.restore` finds the present state."""

    put: dict[str, bytes]
    deleted: set[str]


class SessionNumbers(msgspec.Struct):
    """A session's running totals."""

    sums: SessionSums
    cost: CostSums
    snapshot_count: int
    """Exchanges at the last snapshot."""
    snapshot_wall_ns: int
