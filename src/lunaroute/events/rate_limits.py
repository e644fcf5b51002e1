"""How much of a provider's rate limits is used, by the header fields of its answers.

In: fields by their lower-case names, and when they came. Out: windows, each with the share that is used and when it
begins anew. Sources of the forms: Anthropic's `anthropic-ratelimit-…` (limit, remaining, reset; for subscriptions
`unified-5h-utilization` and the like), OpenAI's `x-ratelimit-limit-…` (also Groq, Mistral, Azure, OpenRouter), and
`x-codex-primary-used-percent` of ChatGPT's plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

import msgspec

_ANTHROPIC = re.compile(r"anthropic-(?:ratelimit-|(priority-))(.+)-(limit|remaining|reset|utilization)")
_COMMON = re.compile(r"x-ratelimit-(limit|remaining|reset)(?:-(.+))?")
_CODEX = re.compile(r"x-codex-(primary|secondary)-(used-percent|reset-after-seconds|reset-at)")
_CODEX_PARTS = {"used-percent": "percent", "reset-after-seconds": "reset", "reset-at": "reset"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
_FIRST_UNIX_S = 1e9
_FIRST_UNIX_MS = 1e12
"""A number from here on is a moment, not a duration."""


class Window(msgspec.Struct, frozen=True):
    """One limit."""

    used_share: float
    """0 to 1."""
    resets_at_s: float | None
    """Unix seconds; None = nobody said."""


def windows(fields: Iterable[tuple[str, str]], seen_at_s: float) -> dict[str, Window]:
    """By what is limited: `requests`, `input-tokens`, `unified-5h`, `primary` …; what says too little is left out."""
    parts: dict[str, dict[str, str]] = {}
    for name, value in fields:
        place = _place_of(name)
        if place is not None:
            parts.setdefault(place[0], {})[place[1]] = value
    found = {}
    for name, said in parts.items():
        share = _used_share(said)
        if share is not None:
            found[name] = Window(share, _moment(said.get("reset"), seen_at_s))
    return found


@lru_cache(maxsize=1024)
def _place_of(name: str) -> tuple[str, str] | None:
    """(window, what is said of it)."""
    if (match := _ANTHROPIC.fullmatch(name)) is not None:
        return (match[1] or "") + match[2], match[3]
    if (match := _COMMON.fullmatch(name)) is not None:
        return match[2] or "all", match[1]
    if (match := _CODEX.fullmatch(name)) is not None:
        return match[1], _CODEX_PARTS[match[2]]
    return None


def _used_share(said: dict[str, str]) -> float | None:
    utilization, percent = _number(said.get("utilization")), _number(said.get("percent"))
    limit, remaining = _number(said.get("limit")), _number(said.get("remaining"))
    if utilization is not None:
        share = utilization
    elif percent is not None:
        share = percent / 100
    elif limit and remaining is not None:
        share = 1 - remaining / limit
    else:
        return None
    return min(1.0, max(0.0, share))


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None


def _moment(text: str | None, seen_at_s: float) -> float | None:
    number = _number(text)
    if number is not None:
        if number >= _FIRST_UNIX_MS:
            return number / 1000
        return number if number >= _FIRST_UNIX_S else seen_at_s + number
    pieces = _DURATION.findall(text or "")
    if text and pieces and "".join(amount + unit for amount, unit in pieces) == text:
        return seen_at_s + sum(float(amount) * _UNIT_S[unit or None] for amount, unit in pieces)
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None
