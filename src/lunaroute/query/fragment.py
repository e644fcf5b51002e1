"""[pure] Pieces of SQL that mean the same in every store. Text of users only ever travels as a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec


class Sql(msgspec.Struct, frozen=True):
    """A piece of SQL and the parameters of its question marks, in order."""

    text: str
    parameters: tuple[object, ...] = ()

    def __and__(self, other: Sql) -> Sql:
        return Sql(f"{self.text} AND {other.text}", self.parameters + other.parameters)


ALWAYS: Final = Sql("1 = 1")
NEVER: Final = Sql("1 = 0")


def is_among(column: str, values: Sequence[object], *, is_negated: bool = False) -> Sql:
    """Whether the column, which is never NULL, has one of the values."""
    if not values:
        return ALWAYS if is_negated else NEVER
    marks = ", ".join("?" * len(values))
    return Sql(f"{column} {'NOT ' if is_negated else ''}IN ({marks})", tuple(values))


def limited(limit: int | None) -> str:
    """The clause that asks for one row more than the limit, which tells whether there are more."""
    return "" if limit is None else f" LIMIT {limit + 1}"
