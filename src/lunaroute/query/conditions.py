"""[pure] Filters → SQL over sessions, exchanges or tool calls.

In: a filter whose names are recorded ones (`query.values`). Out: a condition and its parameters. Text of users only
ever travels as a parameter. Each target has one alias for its rows: `s` of `sessions`, `e` of `session_stats`, `c` of
`tool_call_executions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from lunaroute.errors import FilterError

from .filter import Among, Compared, Condition, Filter, Flag, Words
from .fragment import ALWAYS, NEVER, Sql, is_among
from .grammar import did_you_mean
from .moments import sql_moment
from .stores.base import Dialect

Target = Literal["sessions", "exchanges", "calls"]


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What a target has for the fields of a filter."""

    alias: str
    began: str
    """Of which weekday and hour are asked."""
    names: Mapping[str, str]
    amounts: Mapping[str, str]
    flags: Mapping[str, str]
    texts: str
    """The column of `texts` that `alias` is matched with."""


_COLUMNS: Final[Mapping[Target, _Columns]] = {
    "sessions": _Columns(
        alias="s",
        began="s.started_at",
        names={},
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
        began="e.started_at",
        names={
            "provider": "e.provider",
            "model": "e.model_name",
            "outcome": "e.outcome",
            "status": "e.status_code",
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
        flags={"error": "e.success IS NOT NULL AND NOT e.success", "live": "e.outcome IS NULL"},
        texts="request_id",
    ),
    "calls": _Columns(
        alias="c",
        began="c.called_at",
        names={"model": "c.model_name", "tool": "c.tool_name"},
        amounts={"duration": "c.execution_time_ms"},
        flags={"error": "c.success IS NOT NULL AND NOT c.success", "live": "c.returned_at IS NULL"},
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


def compile_filter(wanted: Filter, target: Target, dialect: Dialect, said_since: datetime | None = None) -> Sql:
    """The conditions; time is left to `within` and `overlapping`. `said_since`: texts before it need not be found.
    Raises FilterError for a field the target lacks."""
    condition = ALWAYS
    for one in wanted.conditions:
        condition &= _compile(one, target, dialect, said_since)
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


def _compile(condition: Condition, target: Target, dialect: Dialect, said_since: datetime | None) -> Sql:
    columns = _COLUMNS[target]
    match condition:
        case Words():
            texts = dialect.texts_with(columns.texts, condition.text, said_since)
            found = Sql(f"{columns.alias}.{columns.texts} IN ({texts.text})", texts.parameters)
            return dialect.negated(found) if condition.is_negated else found
        case Among():
            found = _among(condition, target, columns, dialect)
            return dialect.negated(found) if condition.is_negated else found
        case Compared():
            column = _known(condition.field, columns.amounts, target)
            found = Sql(f"({column} IS NOT NULL AND {column} {condition.operator} ?)", (condition.amount,))
            return dialect.negated(found) if condition.is_negated else found
        case Flag():
            found = Sql(f"({_known(condition.field, columns.flags, target)})")
            return found if condition.is_so else dialect.negated(found)


def _among(condition: Among, target: Target, columns: _Columns, dialect: Dialect) -> Sql:
    field = condition.field
    if field == "session":
        return _beginning(condition, columns)
    if not condition.names:  # nothing that was recorded is meant
        return NEVER
    if field == "tool" and target == "exchanges":
        return dialect.called_tool(is_among("t.tool_name", condition.names))
    if field in _FACETS[target]:
        values = is_among("value", condition.names)
        text = f"SELECT session_id FROM session_facets WHERE kind = ? AND {values.text}"
        return Sql(f"{columns.alias}.session_id IN ({text})", (field, *values.parameters))
    hours_of_week = {"weekday": dialect.weekday(columns.began), "hour": dialect.hour_of_day(columns.began)}
    column = _known(field, {**columns.names, **hours_of_week}, target)
    # Not the column itself: SQLite would think few rows have the value, and give up the order of time for it.
    if field == "status":
        return is_among(f"coalesce({column}, 0)", [int(name) for name in condition.names])
    return is_among(f"coalesce({column}, '')", condition.names)


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
