"""[pure] Filters → SQL over sessions, exchanges or tool calls.

In: a filter whose names are recorded ones (`query.values`). Out: a condition and its parameters. Text of users only
ever travels as a parameter. Each target has one alias for its rows: `s` of `sessions`, `e` of `session_stats`, `c` of
`tool_call_executions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from lunaroute.errors import FilterError

from .filter import Among, Compared, Condition, Filter, Flag, Words
from .grammar import did_you_mean
from .moments import sql_moment

Target = Literal["sessions", "exchanges", "calls"]

TEXTS_LOOKED_AT: Final = 20_000
"""A word that everybody says is looked for in so many of the newest texts that have it."""

_WORD = re.compile(r"\w+\*?", re.UNICODE)
_MATCHING_TEXTS = (
    "SELECT {column} FROM texts WHERE text_id IN"
    f" (SELECT rowid FROM text_search WHERE text_search MATCH ? ORDER BY rowid DESC LIMIT {TEXTS_LOOKED_AT})"
)
_HAS_FACET = "{session} IN (SELECT session_id FROM session_facets WHERE kind = ? AND value IN ({marks}))"
_CALLED_TOOL = "EXISTS (SELECT 1 FROM tool_calls t WHERE t.request_id = e.request_id AND t.tool_name IN ({marks}))"


class Sql(msgspec.Struct, frozen=True):
    """A piece of SQL and the parameters of its question marks, in order."""

    text: str
    parameters: tuple[object, ...] = ()

    def __and__(self, other: Sql) -> Sql:
        return Sql(f"{self.text} AND {other.text}", self.parameters + other.parameters)


ALWAYS: Final = Sql("1")


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What a target has for the fields of a filter."""

    alias: str
    names: Mapping[str, str]
    amounts: Mapping[str, str]
    flags: Mapping[str, str]
    texts: str
    """The column of `texts` that `alias` is matched with."""
    special: Mapping[str, Callable[[Among], Sql]] = {}


def _called_tool(condition: Among) -> Sql:
    return Sql(_CALLED_TOOL.format(marks=_marks(condition)), condition.names)


def _hours_of_week(column: str) -> dict[str, str]:
    # SQLite counts weekdays from Sunday, 0.
    weekday = f"substr('sunmontuewedthufrisat', 1 + 3 * strftime('%w', {column}), 3)"
    return {"weekday": weekday, "hour": f"substr({column}, 12, 2)"}


_COLUMNS: Final[Mapping[Target, _Columns]] = {
    "sessions": _Columns(
        alias="s",
        names=_hours_of_week("s.started_at"),
        amounts={
            "cost": "s.total_cost_usd",
            "tokens": "s.total_tokens",
            "requests": "s.request_count",
            "tools": "s.tool_call_count",
            "errors": "s.error_count",
            "latency": "s.max_latency_ms",
            "ttft": "s.max_ttft_ms",
            "duration": "s.total_duration_ms",
        },
        flags={"error": "s.error_count > 0", "live": "s.completed_at IS NULL"},
        texts="session_id",
    ),
    "exchanges": _Columns(
        alias="e",
        names={
            "provider": "e.provider",
            "model": "e.model_name",
            "outcome": "e.outcome",
            "status": "CAST(e.status_code AS TEXT)",
            **_hours_of_week("e.started_at"),
        },
        amounts={
            "cost": "e.total_cost_usd",
            "tokens": "e.total_tokens",
            "input": "e.input_tokens",
            "output": "e.output_tokens",
            "thinking": "e.thinking_tokens",
            "cached": "e.cache_read_tokens",
            "tools": "e.tool_call_count",
            "latency": "e.provider_latency_ms",
            "ttft": "e.time_to_first_token_ms",
            "duration": "e.total_duration_ms",
        },
        flags={"error": "coalesce(e.success = 0, 0)", "live": "e.outcome IS NULL"},
        texts="request_id",
        special={"tool": _called_tool},
    ),
    "calls": _Columns(
        alias="c",
        names={"model": "c.model_name", "tool": "c.tool_name", **_hours_of_week("c.called_at")},
        amounts={"duration": "c.execution_time_ms"},
        flags={"error": "coalesce(c.success = 0, 0)", "live": "c.returned_at IS NULL"},
        texts="request_id",
    ),
}
_FACETS: Final[Mapping[Target, frozenset[str]]] = {
    "sessions": frozenset(
        {"provider", "model", "client", "tool", "outcome", "status", "tag", "tenant", "node", "source"}
    ),
    "exchanges": frozenset({"client", "tag", "tenant", "node", "source"}),
    "calls": frozenset({"provider", "client", "tag", "tenant", "node", "source"}),
}
"""Fields that are asked of the session."""


def compile_filter(wanted: Filter, target: Target) -> Sql:
    """The conditions; time is left to `within` and `overlapping`. Raises FilterError for a field the target lacks."""
    condition = ALWAYS
    for one in wanted.conditions:
        condition &= _compile(one, target)
    return condition


def overlapping(wanted: Filter) -> Sql:
    """Sessions of which something lies in the time asked for."""
    condition = ALWAYS
    if wanted.since is not None:
        condition &= Sql("s.last_active_at >= ?", (sql_moment(wanted.since),))
    if wanted.until is not None:
        condition &= Sql("s.started_at < ?", (sql_moment(wanted.until),))
    return condition


def within(wanted: Filter, column: str) -> Sql:
    """What `column` puts into the time asked for: [since, until)."""
    condition = ALWAYS
    if wanted.since is not None:
        condition &= Sql(f"{column} >= ?", (sql_moment(wanted.since),))
    if wanted.until is not None:
        condition &= Sql(f"{column} < ?", (sql_moment(wanted.until),))
    return condition


def words_of(text: str) -> list[str]:
    """The words of a phrase, with a `*` where one is only a beginning. Raises FilterError where there are none."""
    words = _WORD.findall(text)
    if not words:
        raise FilterError(f"there is no word to look for in {text!r}")
    return words


def match_text(text: str) -> str:
    """The FTS5 expression for a phrase: its words next to each other; a word that ends with `*` is the beginning of
    one. Raises FilterError where there is no word in it."""
    words = words_of(text)
    is_beginning = words[-1].endswith("*")
    phrase = " ".join(word.rstrip("*") for word in words)
    return f'"{phrase}"*' if is_beginning else f'"{phrase}"'


def _compile(condition: Condition, target: Target) -> Sql:
    columns = _COLUMNS[target]
    match condition:
        case Words():
            rows = _MATCHING_TEXTS.format(column=columns.texts)
            found = Sql(f"{columns.alias}.{columns.texts} IN ({rows})", (match_text(condition.text),))
            return _negated(found) if condition.is_negated else found
        case Among():
            found = _among(condition, target, columns)
            return _negated(found) if condition.is_negated else found
        case Compared():
            column = _known(condition.field, columns.amounts, target)
            found = Sql(f"coalesce({column} {condition.operator} ?, 0)", (condition.amount,))
            return _negated(found) if condition.is_negated else found
        case Flag():
            found = Sql(f"({_known(condition.field, columns.flags, target)})")
            return found if condition.is_so else _negated(found)


def _among(condition: Among, target: Target, columns: _Columns) -> Sql:
    field = condition.field
    if field == "session":
        return _beginning(condition, columns)
    if field in columns.special:
        return columns.special[field](condition)
    if field in _FACETS[target]:
        text = _HAS_FACET.format(session=f"{columns.alias}.session_id", marks=_marks(condition))
        return Sql(text, (field, *condition.names))
    column = _known(field, columns.names, target)
    return Sql(f"coalesce({column} IN ({_marks(condition)}), 0)", condition.names)


def _beginning(condition: Among, columns: _Columns) -> Sql:
    column = f"{columns.alias}.session_id"
    names = [name.lower().rstrip("*") for name in condition.names]
    # "g" follows every character an id can have.
    bounds = [bound for name in names for bound in (name, f"{name}g")]
    return Sql("(" + " OR ".join([f"{column} >= ? AND {column} < ?"] * len(names)) + ")", tuple(bounds))


def _known(field: str, columns: Mapping[str, str], target: Target) -> str:
    column = columns.get(field)
    if column is None:
        raise FilterError(f"{field}: is no filter of {_NAMES[target]}{did_you_mean(field, columns)}")
    return column


_NAMES: Final[Mapping[Target, str]] = {"sessions": "sessions", "exchanges": "exchanges", "calls": "tool calls"}


def _negated(sql: Sql) -> Sql:
    return Sql(f"NOT ({sql.text})", sql.parameters)


def _marks(condition: Among) -> str:
    return ", ".join("?" * len(condition.names))
