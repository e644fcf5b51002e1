"""Sums over exchanges: requests, tokens, cost and time, by hour, day, provider, model or client.

In: a filter and what to group by. Out: `Usage` values. Where the filter asks for nothing but time, provider, model and
client, they come from the roll-ups (whole days from those by day, where nobody asks for hours or clients; parts of an
hour from single exchanges); else from the single exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from lunaroute.sinks.tables.columns import TOKEN_COLUMNS

from .conditions import compile_filter, within
from .filter import EVERYTHING, Among, Filter
from .fragment import ALWAYS, Sql, is_among
from .spans import Grain, Span, cut_finely
from .stores.base import Dialect, Index
from .stores.opening import dialect_of
from .values import resolve
from .ways import way_to_exchanges

Dimension = Literal["hour", "day", "provider", "model", "client"]

UNKNOWN: Final = "unknown"
"""What stands in the roll-ups where nobody said."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over a group of exchanges that have ended. What was not grouped by is None."""

    hour: str | None = None
    """`YYYY-MM-DD HH:00:00`, UTC."""
    day: str | None = None
    provider: str | None = None
    model: str | None = None
    client: str | None = None
    requests: int
    successes: int
    failures: int
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    cache_creation_5m_tokens: int | None
    cache_creation_1h_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    total_tokens: int | None
    total_cost_usd: float | None
    """Of the exchanges whose price is known; None = of none."""
    unpriced_requests: int
    tool_call_count: int
    provider_latency_ms: float
    proxy_overhead_ms: float
    total_duration_ms: float

    @property
    def cached_share(self) -> float | None:
        """What part of the input came from the provider's cache, 0 to 1; None = there was no input."""
        return (self.cache_read_tokens or 0) / self.input_tokens if self.input_tokens else None


SUMS: Final = Usage.__struct_fields__[5:]
KEY: Final = ("hour", "provider", "model_name", "client_name")
_ROLLED_UP: Final = {"provider": "provider", "model": "model_name", "client": "client_name"}
"""Fields of a filter that the roll-ups keep, and their columns there."""
_DAY_KEY: Final = ("day AS hour", "provider", "model_name", "'' AS client_name")
"""The same of `daily_stats`, which does not say whose client."""
_MOMENT_CHARS: Final[dict[Grain, int]] = {"hour": len("2026-01-01 00:00:00"), "day": len("2026-01-01")}
GROUPS: Final[dict[Dimension, str]] = {
    "hour": "hour",
    "day": "substr(hour, 1, 10)",
    "provider": "provider",
    "model": "model_name",
    "client": "client_name",
}
"""What each dimension is of the columns KEY."""
_EXCHANGE_SUMS: Final = {
    "requests": "1",
    "successes": "CASE WHEN e.success THEN 1 ELSE 0 END",
    "failures": "CASE WHEN e.success THEN 0 ELSE 1 END",
    **{name: f"e.{name}" for name in TOKEN_COLUMNS},
    "total_cost_usd": "e.total_cost_usd",
    "unpriced_requests": "coalesce(e.unpriced_requests, 0)",
    "tool_call_count": "e.tool_call_count",
    "provider_latency_ms": "coalesce(e.provider_latency_ms, 0)",
    "proxy_overhead_ms": "e.total_proxy_overhead_ms",
    "total_duration_ms": "e.total_duration_ms",
}


def usage(connection: Index, wanted: Filter = EVERYTHING, by: Sequence[Dimension] = ()) -> list[Usage]:
    """A row for each group, in the order of the groups; without `by`, one row. Exchanges count where they began. Raises
    FilterError, sqlite3.Error."""
    return [msgspec.convert(row, Usage) for row in some_sums(connection, wanted, by, SUMS)]


def some_sums(
    connection: Index, wanted: Filter, by: Sequence[Dimension], names: Sequence[str]
) -> list[dict[str, object]]:
    """The same with only these of SUMS, for less."""
    read = tuple(dict.fromkeys(("requests", *names)))
    source = _source(connection, resolve(connection, wanted), by, read)
    groups = "".join(f"{GROUPS[one]} AS {one}_, " for one in by)
    sums = ", ".join(f"sum({name})" for name in read)
    tail = " GROUP BY {0} ORDER BY {0}".format(", ".join(f"{one}_" for one in by)) if by else ""
    rows = connection.execute(f"SELECT {groups}{sums} FROM ({source.text}) AS parts{tail}", source.parameters)
    found = [dict(zip((*by, *read), row, strict=True)) for row in rows]
    shown = (*by, *names)
    return [{name: row[name] for name in shown} for row in found if row["requests"]]


def total(groups: Sequence[Usage]) -> Usage | None:
    """All groups as one; the same as asking without groups, for less. None of none."""
    if not groups:
        return None
    sums: dict[str, float | None] = {}
    for name in SUMS:
        known = [value for one in groups if (value := getattr(one, name)) is not None]
        sums[name] = sum(known) if known else None
    return msgspec.convert(sums, Usage)


def is_rolled_up(wanted: Filter) -> bool:
    """Whether the roll-ups by hour can answer."""
    return all(isinstance(one, Among) and one.field in _ROLLED_UP for one in wanted.conditions)


def of_rollup(wanted: Filter, whole: Span, grain: Grain) -> Sql:
    """The condition on a roll-up by hour or by day."""
    condition, chars = ALWAYS, _MOMENT_CHARS[grain]
    if whole.since is not None:
        condition &= Sql(f"{grain} >= ?", (whole.since[:chars],))
    if whole.until is not None:
        condition &= Sql(f"{grain} < ?", (whole.until[:chars],))
    for one in wanted.conditions:
        assert isinstance(one, Among)
        condition &= is_among(_ROLLED_UP[one.field], one.names, is_negated=one.is_negated)
    return condition


def exchange_key(dialect: Dialect) -> str:
    """The columns of KEY for the single exchanges."""
    return (
        f"{dialect.hour('e.started_at')} AS hour, coalesce(e.provider, '{UNKNOWN}') AS provider,"
        f" coalesce(e.model_name, '{UNKNOWN}') AS model_name, coalesce({dialect.client}, '{UNKNOWN}') AS client_name"
    )


def ended_exchanges(connection: Index, wanted: Filter, span: Span | None) -> Sql:
    """`e`, the exchanges that have ended in `span` or else in the time asked for, and `s`, their sessions: what stands
    behind FROM. Raises FilterError, sqlite3.Error."""
    dialect = dialect_of(connection)
    source, way = dialect.exchanges_of_sessions, None
    if dialect.is_told_the_way and span is None:
        way = way_to_exchanges(connection, wanted)
        source = f"session_stats e INDEXED BY {way.index} CROSS JOIN sessions s ON s.session_id = e.session_id"
        rest = tuple(one for one in wanted.conditions if one is not way.answered)
        wanted = msgspec.structs.replace(wanted, conditions=rest)
    condition = Sql("e.outcome IS NOT NULL") & (ALWAYS if way is None else way.condition)
    condition &= compile_filter(wanted, "exchanges", dialect)
    if span is None:
        condition &= within(wanted, "e.started_at")
    elif span.since is not None:
        condition &= Sql("e.started_at >= ?", (span.since,))
    if span is not None and span.until is not None:
        condition &= Sql("e.started_at < ?", (span.until,))
    return Sql(f"{source} WHERE {condition.text}", condition.parameters)


def _source(connection: Index, wanted: Filter, by: Sequence[Dimension], sums: Sequence[str]) -> Sql:
    if not is_rolled_up(wanted):
        return _exchanges(connection, wanted, None, sums)
    asks_for_clients = any(isinstance(one, Among) and one.field == "client" for one in wanted.conditions)
    has_days = dialect_of(connection).has_days and not asks_for_clients and not {"hour", "client"} & set(by)
    times = cut_finely(wanted.since, wanted.until, has_days=has_days)
    parts = [_exchanges(connection, wanted, edge, sums) for edge in times.edges]
    parts += [_kept("daily_stats", _DAY_KEY, sums, of_rollup(wanted, span, "day")) for span in times.days]
    parts += [_kept("hourly_stats", KEY, sums, of_rollup(wanted, span, "hour")) for span in times.hours]
    if not parts:
        parts = [_kept("hourly_stats", KEY, sums, Sql("1 = 0"))]
    text = " UNION ALL ".join(part.text for part in parts)
    return Sql(text, tuple(parameter for part in parts for parameter in part.parameters))


def _kept(table: str, key: Sequence[str], sums: Sequence[str], condition: Sql) -> Sql:
    return Sql(f"SELECT {', '.join((*key, *sums))} FROM {table} WHERE {condition.text}", condition.parameters)


def _exchanges(connection: Index, wanted: Filter, span: Span | None, sums: Sequence[str]) -> Sql:
    source = ended_exchanges(connection, wanted, span)
    columns = ", ".join(f"{_EXCHANGE_SUMS[name]} AS {name}" for name in sums)
    return Sql(f"SELECT {exchange_key(dialect_of(connection))}, {columns} FROM {source.text}", source.parameters)
