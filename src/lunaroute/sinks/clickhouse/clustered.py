"""[pure] The tables in a cluster: what is stored is in `<table>_local`, replicated within its shard; what is written to
and asked is a Distributed table over all shards, with the name that the table has on a single server.

All rows of a session are in one shard, so those with the same key meet there, and the newest replaces the others. The
materialized view of the sums reads and fills tables of its own server; replicas get its rows as they get all others.

Servers are expected to have the macros `shard` and `replica`, as is usual, and a queue for ON CLUSTER.
"""

from __future__ import annotations

from typing import Final

from .schema import definitions, sums_of_rows, views

_SHARD: Final = "cityHash64(session_id)"


def clustered_ddl(cluster: str, database: str, *, is_modern: bool, has_text_index: bool = False) -> list[str]:
    """Everything of an empty store, in order. Each statement may be executed again."""
    on = f"ON CLUSTER '{cluster}'"
    prefix = f"`{database}`."
    statements = [
        f"CREATE TABLE IF NOT EXISTS {prefix}schema_version {on} (version Int64) ENGINE ="
        # The same path for all: every server has the version.
        f" ReplicatedMergeTree('/clickhouse/tables/all/{database}/schema_version', '{{shard}}-{{replica}}')"
        " ORDER BY version"
    ]
    for one in definitions(is_modern=is_modern, has_text_index=has_text_index):
        replica = "'{replica}'" + (f", {one.version}" if one.version else "")
        # What the view fills is only read.
        shard = "" if one.name == "exchange_sums" else f", {_SHARD}"
        statements += (
            f"CREATE TABLE IF NOT EXISTS {prefix}{one.name}_local {on} ({one.columns}{one.indexes}) ENGINE ="
            f" ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{database}/{one.name}', {replica})"
            f" {one.rest}",
            f"CREATE TABLE IF NOT EXISTS {prefix}{one.name} {on} ({one.columns}) ENGINE ="
            f" Distributed('{cluster}', '{database}', '{one.name}_local'{shard})",
        )
    statements.append(
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {prefix}exchange_sums_of_rows {on} TO {prefix}exchange_sums_local"
        f" AS {sums_of_rows(f'{prefix}session_stats_local')}"
    )
    return statements + [
        f"CREATE VIEW IF NOT EXISTS {prefix}{name} {on} AS {query}" for name, query in views(prefix).items()
    ]
