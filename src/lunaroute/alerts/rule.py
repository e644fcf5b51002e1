"""Rules as people write them: one sentence → a `Rule`.

    spend per day > 20            also per hour, per month, per session; US dollars at list prices
    errors > 20% in 15m           share of the exchanges that failed
    p95 latency > 30s in 15m      also p50, p90, p99; also ttft, the time to the first token
    stall > 60s                   an exchange in which nothing has moved for so long
    rate limit > 90%              of any window that the provider tells of

Every mistake is a ConfigError of one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from lunaroute.config import AlertConfig
from lunaroute.errors import ConfigError, FilterError
from lunaroute.query.filter import Among, Filter
from lunaroute.query.grammar import parse_filter

Measure = Literal["spend", "errors", "latency", "ttft", "stall", "rate limit"]
Period = Literal["session", "hour", "day", "month"]

_SPEND = re.compile(r"spend per (session|hour|day|month) > \$?(\d+(?:\.\d+)?)")
_ERRORS = re.compile(r"errors > (\d+(?:\.\d+)?)% in (\d+)(s|m|h)")
_PERCENTILE = re.compile(r"p(50|90|95|99) (latency|ttft) > (\d+(?:\.\d+)?)(ms|s|m) in (\d+)(s|m|h)")
_STALL = re.compile(r"stall > (\d+(?:\.\d+)?)(s|m)")
_RATE_LIMIT = re.compile(r"rate limit > (\d+(?:\.\d+)?)%")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORMS = (
    "spend per day > 20; errors > 20% in 15m; p95 latency > 30s in 15m; p95 ttft > 5s in 15m; stall > 60s;"
    " rate limit > 90%"
)
_ANY_TIME = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What is watched, and what happens then."""

    name: str
    measure: Measure
    limit: float
    """US dollars, a share of 1, or seconds."""
    period: Period | None = None
    """Of a spend."""
    window_s: float = 0.0
    """What is looked at, up to now; 0 = the present moment, or the period."""
    percent: int = 0
    """Of a percentile."""
    wanted: Filter = Filter()
    """What it is limited to."""
    providers: tuple[str, ...] | None = None
    """The same where it names providers alone; None = all."""
    config: AlertConfig

    @property
    def is_of_passing_things(self) -> bool:
        """Sessions and exchanges go away by themselves; nobody needs to be told that they are over."""
        return self.period == "session" or self.measure == "stall"

    @property
    def blocks(self) -> bool:
        return self.config.block


def read_rules(alerts: Mapping[str, AlertConfig]) -> list[Rule]:
    """Raises ConfigError."""
    return [_read(name, config) for name, config in alerts.items()]


def _read(name: str, config: AlertConfig) -> Rule:
    where = f"[alerts.{name}]"
    measured = _measured(" ".join(config.when.lower().split()))
    if measured is None:
        raise ConfigError(f"{where}: when = {config.when!r} is no rule; write one of: {_FORMS}")
    wanted = _filter(where, config.filter)
    providers = _providers(wanted)
    has_other_terms = bool(wanted.conditions) and providers is None
    if has_other_terms and measured["measure"] in ("stall", "rate limit"):
        raise ConfigError(f"{where}: {measured['measure']} can only be limited to a provider, as provider:anthropic")
    if has_other_terms and config.block:
        raise ConfigError(f"{where}: the relay can only block by provider, as provider:anthropic")
    if config.block and measured["measure"] == "stall":
        raise ConfigError(f"{where}: a stall cannot block: what stands still has passed already")
    return Rule(**measured, name=name, wanted=wanted, providers=providers, config=config)


def _measured(text: str) -> dict[str, Any] | None:
    if (match := _SPEND.fullmatch(text)) is not None:
        return {"measure": "spend", "period": match[1], "limit": float(match[2])}
    if (match := _ERRORS.fullmatch(text)) is not None:
        return {"measure": "errors", "limit": float(match[1]) / 100, "window_s": int(match[2]) * _UNIT_S[match[3]]}
    if (match := _PERCENTILE.fullmatch(text)) is not None:
        return {
            "measure": match[2],
            "percent": int(match[1]),
            "limit": float(match[3]) * _UNIT_S[match[4]],
            "window_s": int(match[5]) * _UNIT_S[match[6]],
        }
    if (match := _STALL.fullmatch(text)) is not None:
        return {"measure": "stall", "limit": float(match[1]) * _UNIT_S[match[2]]}
    if (match := _RATE_LIMIT.fullmatch(text)) is not None:
        return {"measure": "rate limit", "limit": float(match[1]) / 100}
    return None


def _filter(where: str, text: str) -> Filter:
    try:
        wanted = parse_filter(text, _ANY_TIME)
    except FilterError as error:
        raise ConfigError(f"{where}: filter: {error}") from None
    if wanted.since is not None or wanted.until is not None:
        raise ConfigError(f"{where}: filter: the time is the rule's own; leave since: and until: out")
    return wanted


def _providers(wanted: Filter) -> tuple[str, ...] | None:
    """None: all, or not to be said by providers."""
    match wanted.conditions:
        case (Among(field="provider", names=names, is_negated=False),) if not any("*" in name for name in names):
            return names
    return None
