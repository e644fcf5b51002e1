"""[pure] What has begun and what is over since the last look, and what is to be blocked meanwhile.

In: readings of every rule, again and again. Out: changes, each once; what fires now. The state can be stored, so that a
restart repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from .readings import Reading
from .rule import Rule

What = Literal["fired", "over"]
_RENEWED_S = 60.0
"""A block that has no end of its own is renewed while its rule fires; it lasts so long when nobody renews it."""


class Firing(msgspec.Struct, kw_only=True):
    """A rule that is exceeded, for one subject."""

    since: datetime
    value: float
    ends_at: datetime | None = None
    is_lifted: bool = False
    """The user let it pass all the same."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Of one rule and subject: it fired, or it is over."""

    rule: Rule
    subject: str
    what: What
    value: float
    at: datetime


class Watch:
    """`firing` is its whole state: rule → subject → since when, and how far."""

    def __init__(self, firing: dict[str, dict[str, Firing]]) -> None:
        self.firing = firing

    def look(self, found: Iterable[tuple[Rule, list[Reading]]], now: datetime) -> list[Change]:
        changes: list[Change] = []
        seen: set[str] = set()
        for rule, readings in found:
            seen.add(rule.name)
            changes += self._of_rule(rule, readings, now)
        for name in self.firing.keys() - seen:
            del self.firing[name]  # nobody asks for it any more
        return changes

    def lift(self, name: str) -> None:
        """What this rule blocks now may pass, until it fires anew."""
        for firing in self.firing.get(name, {}).values():
            firing.is_lifted = True

    def _of_rule(self, rule: Rule, readings: list[Reading], now: datetime) -> list[Change]:
        before = self.firing.setdefault(rule.name, {})
        above = {one.subject: one for one in readings if one.value > rule.limit}
        changes = []
        for subject, reading in above.items():
            known = before.get(subject)
            if known is None or (known.ends_at is not None and now >= known.ends_at):
                before[subject] = Firing(since=now, value=reading.value, ends_at=reading.ends_at)
                changes.append(Change(rule=rule, subject=subject, what="fired", value=reading.value, at=now))
            else:
                known.value = reading.value
        values = {one.subject: one.value for one in readings}
        for subject in [one for one in before if one not in above]:
            del before[subject]
            if not rule.is_of_passing_things:
                value = values.get(subject, 0.0)
                changes.append(Change(rule=rule, subject=subject, what="over", value=value, at=now))
        return changes


def block_until_s(firing: Firing, now: datetime) -> float:
    """Unix seconds up to which a block holds if it is not renewed."""
    return (firing.ends_at or now + timedelta(seconds=_RENEWED_S)).timestamp()
