"""An index as one tenant sees it: its own rows, under the names that all queries use.

Views of the connection's own stand in front of the tables, so that a query that forgets whom it is for finds nothing of
others. The sums of hours and days are not kept by tenant and are empty here: with `of_tenant` in the filter, they are
made from single exchanges. It is no lock: SQL of strangers could name the tables themselves.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Literal

from .filter import Among, Filter

_INDEXED_BY = re.compile(r"\bINDEXED BY \w+")

Scope = Literal["own", "of sessions", "none"]
SCOPES: Final[dict[str, Scope]] = {
    **dict.fromkeys(("sessions", "session_stats"), "own"),
    **dict.fromkeys(("tool_calls", "tool_call_executions", "session_facets", "texts", "stream_events"), "of sessions"),
    **dict.fromkeys(("daily_stats", "hourly_stats", "hourly_latencies", "daily_latencies", "daily_tool_stats"), "none"),
}
"""How a tenant's rows of each table are known: by their column `tenant`, by their session, or not at all."""


def condition_of(scope: Scope, tenant: str, facets: str) -> str:
    """On rows `t`. `tenant` as a literal of SQL; `facets`: the table of all sessions' names. Every store takes it."""
    if scope == "none":
        return "1 = 0"
    if scope == "own":
        return f"t.tenant = {tenant}"
    return f"t.session_id IN (SELECT f.session_id FROM {facets} f WHERE f.kind = 'tenant' AND f.value = {tenant})"


def views_of(tenant: str, schema: str, tables: Iterable[str] = SCOPES) -> list[str]:
    """Statements for a connection of which the session's own views stand in front of the tables of `schema`."""
    quoted = "'" + tenant.replace("'", "''") + "'"
    conditions = {table: condition_of(SCOPES[table], quoted, f"{schema}.session_facets") for table in tables}
    return [
        f"CREATE TEMP VIEW {table} AS SELECT t.* FROM {schema}.{table} t WHERE {condition}"
        for table, condition in conditions.items()
    ]


class TenantConnection(sqlite3.Connection):
    """Passes over `INDEXED BY`, which a view cannot have."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute(_INDEXED_BY.sub("", sql), parameters)


def narrow(connection: sqlite3.Connection, tenant: str) -> None:
    """From now on the connection has only what is this tenant's. Raises sqlite3.Error."""
    for statement in views_of(tenant, "main"):
        connection.execute(statement)


def of_tenant(wanted: Filter, tenant: str) -> Filter:
    """The same, of this tenant: the very name, and not what is like it."""
    own = Filter(conditions=(Among(field="tenant", names=(tenant,), is_exact=True),))
    return wanted.and_also(own)
