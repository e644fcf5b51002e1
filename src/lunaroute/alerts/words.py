"""[pure] Alerts as one line for a person."""

from __future__ import annotations

from datetime import datetime

from .rule import Rule
from .watch import Change

_NAMES = {"errors": "the share of failed exchanges", "stall": "the silence", "rate limit": "the use of the rate limit"}


def line_of(change: Change) -> str:
    """What happened."""
    rule = change.rule
    whose = f" of {change.subject}" if change.subject else ""
    if change.what == "over":
        return f"{_name(rule)}{whose} is no longer above {amount(rule, rule.limit)} (rule {rule.name!r})"
    return (
        f"{_name(rule)}{whose} is {amount(rule, change.value)}, above {amount(rule, rule.limit)} (rule {rule.name!r})"
    )


def block_line(rule: Rule, value: float, ends_at: datetime | None) -> str:
    """What the client of a blocked request is told."""
    until = "" if ends_at is None else f" until {ends_at:%Y-%m-%d %H:%M %Z}".rstrip()
    return (
        f"blocked{until}: {_name(rule)} is {amount(rule, value)}, above {amount(rule, rule.limit)};"
        f" `lunaroute alerts lift {rule.name}` lets it pass"
    )


def amount(rule: Rule, value: float) -> str:
    match rule.measure:
        case "spend":
            return f"${value:,.2f}"
        case "errors" | "rate limit":
            return f"{value:.0%}"
        case _:
            return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _name(rule: Rule) -> str:
    if rule.measure == "spend":
        return f"the spend of the {rule.period}"
    if rule.measure in ("latency", "ttft"):
        return f"p{rule.percent} of {'the time to the first token' if rule.measure == 'ttft' else 'the latency'}"
    return _NAMES[rule.measure]
