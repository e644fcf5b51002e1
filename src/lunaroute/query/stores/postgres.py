"""How PostgreSQL says it, and a connection to it that cannot write.

Phrases are looked for in `texts.words` (`sinks.tables.normal_text`), which a trigram index makes quick.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from lunaroute.errors import SqlRefused
from lunaroute.query.tenant import views_of
from lunaroute.sinks.postgres.connection import connect, driver, run, unavailable
from lunaroute.sinks.postgres.migrations import check_version

from .answer import Rows
from .words import WordsDialect

T = TypeVar("T")
_MARK: Final = re.compile(r"\?")
_CASTS: Final[dict[type, str]] = {bool: "boolean", int: "bigint", float: "double precision"}
"""The server takes the type of a parameter from where it stands, which may be another number's."""


class PostgresDialect(WordsDialect):
    def hour(self, moment: str) -> str:
        return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00:00')"

    def hour_of_day(self, moment: str) -> str:
        return f"to_char({moment} AT TIME ZONE 'UTC', 'HH24')"

    def weekday(self, moment: str) -> str:
        return f"to_char({moment} AT TIME ZONE 'UTC', 'dy')"


POSTGRES: Final = PostgresDialect()


class PostgresIndex:
    """A connection for reading. One thread at a time."""

    dialect = POSTGRES
    schema_sql = (
        'SELECT table_name AS "table", column_name AS "column", data_type AS type FROM information_schema.columns'
        " WHERE table_schema = ANY (current_schemas(false)) AND table_name NOT IN (SELECT c.relname FROM pg_class c"
        " WHERE c.relispartition) ORDER BY table_name, ordinal_position"
    )

    def __init__(self, url: str, tenant: str | None = None) -> None:
        """`tenant`: only what is this one's is in it. Raises StoreUnavailable; LunarouteError where there are no
        tables, other ones, or no asyncpg."""
        self.url = url
        self._tenant = tenant
        self._connection = run(connect(url, default_transaction_read_only="on"))
        try:
            self._run(check_version(self._connection))
            if tenant is not None:
                self._run(_narrow(self._connection, tenant))
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Rows:
        """Raises StoreUnavailable."""
        numbered = iter(range(1, len(parameters) + 1))
        text = _MARK.sub(lambda _: _place(next(numbered), parameters), sql)
        return Rows(self._run(self._connection.fetch(text, *parameters)))

    def ask(self, statement: str, max_rows: int, max_seconds: float) -> tuple[list[str], list[tuple[object, ...]]]:
        """Columns and rows of a statement of somebody's own. Raises SqlRefused."""
        if self._tenant is not None:
            raise SqlRefused("a tenant cannot ask in SQL")
        asyncpg = driver()
        try:
            return run(_ask(self._connection, statement, max_rows, max_seconds))
        except asyncpg.QueryCanceledError as error:
            raise SqlRefused(
                f"it took longer than {max_seconds:g} s and was stopped; narrow it, or allow more time"
            ) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise SqlRefused(" ".join(str(error).split())) from error

    def close(self) -> None:
        with suppress(Exception):  # it may be broken already
            run(self._connection.close(timeout=2.0))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        asyncpg = driver()
        try:
            return run(work)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise unavailable(self.url, error) from error


async def _narrow(connection: Any, tenant: str) -> None:
    """Views of the connection's own, which are looked for before the tables."""
    schema = await connection.fetchval("SELECT quote_ident(current_schema())")
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ WRITE")
        for statement in views_of(tenant, schema):
            await connection.execute(statement)


async def _ask(
    connection: Any, statement: str, max_rows: int, max_seconds: float
) -> tuple[list[str], list[tuple[object, ...]]]:
    """As a cursor, which only a query can be, and of which no more is read than is wanted."""
    async with connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = {max(1, round(max_seconds * 1000))}")
        # A prepared statement is one statement: nothing can follow the query.
        declare = await connection.prepare(f"DECLARE asked NO SCROLL CURSOR FOR {statement}")
        await declare.fetch()
        rows = await connection.prepare(f"FETCH {max_rows} FROM asked")
        found = await rows.fetch()
        return [one.name for one in rows.get_attributes()], [tuple(row) for row in found]


def _place(number: int, parameters: Sequence[object]) -> str:
    cast = _CASTS.get(type(parameters[number - 1]))
    return f"${number}" if cast is None else f"${number}::{cast}"
