"""Which store is asked: the index of this home, or one of several machines by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lunaroute.errors import ConfigError
from lunaroute.query.index import open_index

from .base import Dialect, Index
from .sqlite import SQLITE


def open_store(
    store: str | None, database: Path, *, is_shared: bool = False, tenant: str | None = None
) -> Index | None:
    """A connection that cannot write. `store` None: the index `database`, which may not be there yet: None. `tenant`:
    only what is this one's is in it. Raises ConfigError where the URL names no store, and what the store raises."""
    if store is None or store.startswith("sqlite:"):
        path = "" if store is None else store.removeprefix("sqlite:").removeprefix("//")
        return open_index(Path(path).expanduser() if path else database, is_shared=is_shared, tenant=tenant)
    if store.startswith(("postgresql://", "postgres://")):
        from .postgres import PostgresIndex

        return PostgresIndex(store, tenant)
    if store.startswith(("clickhouse://", "clickhouses://")):
        from .clickhouse import ClickHouseIndex

        return ClickHouseIndex(store, tenant)
    scheme = store.split("//")[0]
    raise ConfigError(f"{scheme}: names no store; there are sqlite:, postgresql:// and clickhouse://")


def without_password(store: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(store)
    place = parts.netloc.rpartition("@")
    user = place[0].partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{place[2]}" if user else place[2], parts.path, "", ""))


def dialect_of(index: Index) -> Dialect:
    """A connection of `sqlite3` has none of its own."""
    found: Any = getattr(index, "dialect", SQLITE)
    assert isinstance(found, Dialect)
    return found
