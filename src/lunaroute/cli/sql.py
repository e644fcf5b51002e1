"""`lunaroute sql`: any question in SQL, read-only."""

from __future__ import annotations

from pathlib import Path

import click

from lunaroute.query.ask import ask_sql
from lunaroute.query.render_sums import sql_table
from lunaroute.query.sql import DEFAULT_ROWS, DEFAULT_SECONDS
from lunaroute.query.stores.base import AskingIndex

from .answering import print_csv, print_json, print_pretty
from .asking import NOTHING_YET, home_option, limit_option, opened, output_options, store_option

_SCHEMA = (
    'SELECT t.name AS "table", c.name AS "column", c.type FROM sqlite_schema t, pragma_table_info(t.name) c'
    " WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'text\\_search\\_%' ESCAPE '\\' ORDER BY t.rowid, c.cid"
)


@click.command("sql")
@click.argument("statement")
@output_options
@limit_option(DEFAULT_ROWS)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Stop after so long.",
)
@home_option
@store_option
def sql_command(statement: str, output: str | None, limit: int, seconds: float, home: Path) -> None:
    """Ask the index one SELECT statement; nothing can be written.

    .schema in its place lists the tables and columns; docs/contract.md says what they mean.
    """
    with opened(home) as connection:
        if connection is None:
            click.echo(NOTHING_YET, err=True)
            return
        schema = connection.schema_sql if isinstance(connection, AskingIndex) else _SCHEMA
        text = schema if statement.strip() == ".schema" else statement
        result = ask_sql(connection, text, max_rows=limit, max_seconds=seconds)
    if output == "json":
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    elif output == "csv":
        print_csv(result.columns, result.rows)
    else:
        print_pretty(sql_table(result))
    if result.is_cut:
        click.echo(f"cut after {limit} rows; --limit N for more", err=True)
