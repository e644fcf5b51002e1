"""Bringing a ClickHouse database to the tables of this program. Each step may be taken again: there are no
transactions, and what says the version is written last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lunaroute.errors import IndexTooNew, LunarouteError

from . import day_sums
from .clustered import clustered_ddl
from .connection import ClickHouse, Refused
from .schema import OLDEST_MODERN, OLDEST_WITH_TEXT_INDEX, SCHEMA_VERSION, ddl

MIGRATIONS: Final[dict[tuple[int, bool], Sequence[str]]] = {}
"""(version, whether the server is a modern one) → the statements that lead to the next one. 1 is the first."""
"""Those of a cluster, which are more, have to be told apart when there is a first."""
_ON_ALL: Final[dict[str, str | int]] = {"distributed_ddl_task_timeout": 60, "wait_end_of_query": 1}
"""Servers that are down make a statement fail, and get it later; what says the version is written when all have it."""
_NO_SUCH_TABLE: Final = 60


def server_year(server: ClickHouse) -> int:
    """The first number of the server's version. Raises StoreUnavailable."""
    version = server.run(b"SELECT version() FORMAT TabSeparated").decode().strip()
    return int(version.split(".")[0])


def has_day_sums(server: ClickHouse) -> bool:
    """Whether its tables are those that days are summed in. Raises StoreUnavailable."""
    return server.run(b"EXISTS TABLE summed_days FORMAT TabSeparated").strip() == b"1"


def migrate(server: ClickHouse, cluster: str | None = None) -> None:
    """Create or upgrade the tables, those of a cluster on all its servers. Raises IndexTooNew, StoreUnavailable;
    LunarouteError where the tables are those of a single server and should not be, or the other way round."""
    version = _version(server)
    if version is not None:
        _check_kind(server, cluster)
    if version == SCHEMA_VERSION:
        return
    year = server_year(server)
    modern, has_text_index = year >= OLDEST_MODERN, year >= OLDEST_WITH_TEXT_INDEX
    if version is None and cluster is None:
        statements = ddl(is_modern=modern, has_text_index=has_text_index)
        statements += day_sums.ddl() if modern else []
    elif version is None:
        # Without sums of days: who makes them would have to know what all others are writing.
        statements = clustered_ddl(str(cluster), server.database, is_modern=modern, has_text_index=has_text_index)
    else:
        _refuse_newer(version)
        statements = [text for step in range(version, SCHEMA_VERSION) for text in MIGRATIONS[step, modern]]
    for statement in statements:
        server.run(statement.encode(), _ON_ALL if cluster is not None else None)
    server.run(f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})".encode())


def check_version(server: ClickHouse) -> None:
    """For readers. Raises LunarouteError when there are no tables or other ones, StoreUnavailable."""
    version = _version(server)
    if version is None:
        raise LunarouteError("there are no recordings in this database; a recorder makes its tables")
    _refuse_newer(version)
    if version < SCHEMA_VERSION:
        raise LunarouteError("the tables are those of an older lunaroute; a recorder of this one upgrades them")


def _check_kind(server: ClickHouse, cluster: str | None) -> None:
    found = server.run(
        b"SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'sessions' FORMAT TabSeparated"
    )
    is_clustered = found.strip() == b"Distributed"
    if is_clustered and cluster is None:
        raise LunarouteError(f"{server.name}: the tables are those of a cluster; name it in the sink: cluster = …")
    if cluster is not None and not is_clustered:
        raise LunarouteError(f"{server.name}: the tables are those of a single server, not of the cluster {cluster}")


def _refuse_newer(version: int) -> None:
    if version > SCHEMA_VERSION:
        raise IndexTooNew(
            f"the database has schema version {version}, this program knows up to {SCHEMA_VERSION}: upgrade lunaroute"
        )


def _version(server: ClickHouse) -> int | None:
    """None = no tables, or not all of them yet."""
    try:
        found = server.run(b"SELECT max(version) FROM schema_version FORMAT TabSeparated")
    except Refused as error:
        if error.code == _NO_SUCH_TABLE:
            return None
        raise
    return int(found.decode().strip() or 0) or None
