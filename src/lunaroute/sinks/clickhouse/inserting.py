"""Inserting a block, on a single server or in a cluster, so that what is acknowledged stays.

In a cluster, an insert returns when all replicas of the shards that it concerns have it: then it survives the end of
any of them, and whichever is asked knows it. While one is down, nothing can be written; it is tried again until it can.

Replicas would take no notice of a block that they know already, and neither would the view that fills the sums, though
it may not have seen it: an insert consists of several, and may end between them. So they are told not to look,
and every attempt writes all of it. Rows that are there twice replace themselves.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Final

from lunaroute.errors import LunarouteError

from .connection import ClickHouse, Refused
from .reading import rows_of

_QUORUM_S: Final = 30
_ONE_AT_A_TIME: Final = 286
"""Old servers take one insert with a quorum for each table at a time; another node's is not through yet."""
_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.2


class Inserting:
    """Into the tables of a database."""

    def __init__(self, server: ClickHouse, cluster: str | None) -> None:
        self._server = server
        self._cluster = cluster
        self._settings: Mapping[str, str | int] | None = {} if cluster is None else None
        """None: to be found out."""

    def insert(self, table: str, block: bytes) -> None:
        """Raises StoreUnavailable: then it may be stored, or stored in part; LunarouteError where there is no such
        cluster."""
        statement = f"INSERT INTO {table} FORMAT JSONEachRow\n".encode() + block
        give_up_at_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if self._settings is None:
                    self._settings = _settings(self._server, self._cluster or "")
                self._server.run(statement, self._settings)
            except Refused as error:
                if error.code != _ONE_AT_A_TIME or time.monotonic() >= give_up_at_s:
                    self._begin_again()
                    raise
                time.sleep(_PAUSE_S * random.random())
            else:
                return

    def _begin_again(self) -> None:
        """It may be this server alone that cannot, or the cluster another one than it was."""
        if self._cluster is not None:
            self._server.go_on()
            self._settings = None


def _settings(server: ClickHouse, cluster: str) -> dict[str, str | int]:
    sizes = f"SELECT count() AS size FROM system.clusters WHERE cluster = '{cluster}' GROUP BY shard_num"
    counts = [count for (count,) in rows_of(server, f"SELECT DISTINCT size FROM ({sizes})")]
    if not counts:
        raise LunarouteError(f"{server.name}: the server's configuration has no cluster {cluster}")
    if len(counts) > 1:
        raise LunarouteError(f"{server.name}: shards of the cluster {cluster} have different numbers of replicas")
    return {
        "insert_distributed_sync": 1,
        "insert_quorum": counts[0],
        "insert_quorum_timeout": _QUORUM_S * 1000,
        "insert_deduplicate": 0,
    }
