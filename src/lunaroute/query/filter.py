"""[pure] What is asked for, as values: a conjunction of conditions.

A filter is written as one string (`query.grammar` reads it) and becomes SQL in `query.conditions`. The same filter
means the same for sessions, exchanges, tool calls and sums, as far as they have what it names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Operator = Literal["=", ">", ">=", "<", "<="]


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of a filter."""


class Words(_Value, frozen=True):
    """A word or phrase that was said, by anybody, where it was new."""

    text: str
    is_negated: bool = False


class Among(_Value, frozen=True):
    """A name is one of several; `*` in a name stands for anything."""

    field: str
    names: tuple[str, ...]
    is_negated: bool = False
    is_exact: bool = False
    """The very names, not what people may mean by them."""


class Compared(_Value, frozen=True):
    """A number compared with `amount`, which is in the unit of the index: ms, US dollars, or a count."""

    field: str
    operator: Operator
    amount: float
    is_negated: bool = False


class Flag(_Value, frozen=True):
    """Something is so, or not."""

    field: str
    is_so: bool


Condition = Words | Among | Compared | Flag


class Filter(_Value, frozen=True):
    """All conditions hold, and something of it lies in [since, until)."""

    conditions: tuple[Condition, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def and_also(self, other: Filter) -> Filter:
        """Both hold. Where both name a bound of time, that of `other` counts."""
        return Filter(
            conditions=self.conditions + other.conditions,
            since=other.since or self.since,
            until=other.until or self.until,
        )


EVERYTHING = Filter()
