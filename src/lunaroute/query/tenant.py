"""An index as one tenant sees it: its own rows, under the names that all queries use.

Views of the connection's own stand in front of the tables, so that a query that forgets whom it is for finds nothing of
others. The sums of hours and days are not kept by tenant and are empty here: with `of_tenant` in the filter, they are
made from single exchanges. It is no lock: SQL of strangers could name the tables themselves.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from .filter import Among, Filter

_INDEXED_BY = re.compile(r"\bINDEXED BY \w+")
_OWN = "tenant = '{tenant}'"
_OF_SESSIONS = (
    "EXISTS (SELECT 1 FROM main.session_facets f WHERE f.kind = 'tenant' AND f.value = '{tenant}'"
    " AND f.session_id = t.session_id)"
)
_ROWS = {
    "sessions": _OWN,
    "session_stats": _OWN,
    "tool_calls": _OF_SESSIONS,
    "tool_call_executions": _OF_SESSIONS,
    "session_facets": _OF_SESSIONS,
    "texts": _OF_SESSIONS,
    "stream_events": _OF_SESSIONS,
    **dict.fromkeys(("daily_stats", "hourly_stats", "hourly_latencies", "daily_latencies", "daily_tool_stats"), "0"),
}


class TenantConnection(sqlite3.Connection):
    """Passes over `INDEXED BY`, which a view cannot have."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute(_INDEXED_BY.sub("", sql), parameters)


def narrow(connection: sqlite3.Connection, tenant: str) -> None:
    """From now on the connection has only what is this tenant's. Raises sqlite3.Error."""
    quoted = tenant.replace("'", "''")
    for table, condition in _ROWS.items():
        where = condition.format(tenant=quoted)
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT t.* FROM main.{table} t WHERE {where}")


def of_tenant(wanted: Filter, tenant: str) -> Filter:
    """The same, of this tenant: the very name, and not what is like it."""
    own = Filter(conditions=(Among(field="tenant", names=(tenant,), is_exact=True),))
    return wanted.and_also(own)
