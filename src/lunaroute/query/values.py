"""Names of a filter → the names that were recorded.

In: a filter with names as typed. Out: the same with every name that it stands for: the very name where there is one,
in any case; else every name that contains it; or with `*`, every name of that shape.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import msgspec

from lunaroute.errors import FilterError

from .fields import FIELDS
from .filter import Among, Condition, Filter
from .grammar import did_you_mean, nearest
from .stores.base import Index
from .stores.opening import dialect_of

FACETS = frozenset({"provider", "model", "client", "tool", "outcome", "status", "tag", "tenant", "node", "source"})
"""Fields whose recorded names `session_facets` lists."""


def known_values(connection: Index, field: str) -> list[str]:
    """Every recorded name of a field of FACETS, in order. Raises sqlite3.Error."""
    asked = dialect_of(connection).names(field)
    return [row[0] for row in connection.execute(asked.text, asked.parameters)]


def resolve(connection: Index, wanted: Filter) -> Filter:
    """The filter with recorded names. Raises FilterError where a name looks like a slip of a recorded one,
    sqlite3.Error."""
    conditions = [_resolved(connection, one) for one in wanted.conditions]
    return msgspec.structs.replace(wanted, conditions=tuple(one for one in conditions if one is not None))


def _resolved(connection: Index, condition: Condition) -> Condition | None:
    """None = it holds for everything."""
    if not isinstance(condition, Among) or condition.is_exact or condition.field not in FACETS | {"kind"}:
        return condition
    choices: Sequence[str] = FIELDS[condition.field].choices
    known = choices or known_values(connection, condition.field)
    names = [name for typed in condition.names for name in _meant(condition.field, typed, known)]
    is_wanted_source = condition.field == "source" and not condition.is_negated
    if is_wanted_source and set(names) >= set(known_values(connection, "source")):
        return None  # every session has one, and most stores have but one: sums need not read single exchanges
    return msgspec.structs.replace(condition, names=tuple(dict.fromkeys(names)))


def _meant(field: str, typed: str, known: Sequence[str]) -> list[str]:
    folded = typed.casefold()
    if "*" in typed:
        return [name for name in known if fnmatch.fnmatchcase(name.casefold(), folded.replace("[", "[[]"))]
    exact = [name for name in known if name.casefold() == folded]
    found = exact or [name for name in known if folded in name.casefold()]
    if not found and nearest(typed, known):
        raise FilterError(f"{field}:{typed}: nothing recorded has this {field}{did_you_mean(typed, known)}")
    return found
