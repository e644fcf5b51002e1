"""Many rows at once: by COPY into a temporary table, and from there into the real one by its key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lunaroute.sinks.tables.rows import Values

from .schema import KEYS

_NUL: Final = "\0"


async def make_stages(connection: Any) -> None:
    """Temporary tables of this connection: `new_` and the name of each table. Raises asyncpg.PostgresError."""
    for table in KEYS:
        await connection.execute(
            f"CREATE TEMP TABLE new_{table} ON COMMIT DELETE ROWS AS SELECT * FROM {table} WITH NO DATA"
        )


async def stage(connection: Any, table: str, columns: Sequence[str], rows: Iterable[Values]) -> None:
    """Put rows into the table's stage, in place of what stands there. Raises asyncpg.PostgresError, ValueError and
    its like where a value is none of its column."""
    await connection.execute(f"TRUNCATE new_{table}")
    await connection.copy_records_to_table(
        f"new_{table}", schema_name="pg_temp", columns=columns, records=map(_storable, rows)
    )


async def upsert(
    connection: Any, table: str, columns: Sequence[str], rows: Sequence[Values], *, kept: Sequence[str] = ()
) -> None:
    """Insert rows, or change those with the same keys, all but their `kept` columns. No key may come twice."""
    if not rows:
        return
    await stage(connection, table, columns, rows)
    names, key = ", ".join(columns), KEYS[table]
    changed = [f"{name} = excluded.{name}" for name in columns if name not in (*key, *kept)]
    action = f"UPDATE SET {', '.join(changed)}" if changed else "NOTHING"
    await connection.execute(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM new_{table} ON CONFLICT ({', '.join(key)}) DO {action}"
    )


def _storable(row: Values) -> Values:
    """PostgreSQL has no NUL in texts: U+FFFD stands for it."""
    if any(type(value) is str and _NUL in value for value in row):
        return tuple(value.replace(_NUL, "\ufffd") if type(value) is str else value for value in row)
    return row
