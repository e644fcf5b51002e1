"""Answers on stdout: JSON with every value in full, CSV for spreadsheets, tables for people."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console, RenderableType


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_json_of), indent=2).decode())


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    csv_row(columns)
    for row in rows:
        csv_row(row)


def csv_row(values: Sequence[Any]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow([_cell(value) for value in values])


def print_items(output: str | None, kind: type[msgspec.Struct], items: Sequence[Any], table: RenderableType) -> None:
    """A list of structs as the options want it."""
    if output == "json":
        print_json(items)
    elif output == "csv":
        rows = ((getattr(one, name) for name in kind.__struct_fields__) for one in items)
        print_csv(kind.__struct_fields__, (list(row) for row in rows))
    else:
        print_pretty(table)


def print_pretty(*what: RenderableType) -> None:
    Console().print(*what, sep="\n")


def _json_of(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> Any:
    """Lists joined by spaces, structs as JSON; text that a spreadsheet would run as a formula is disarmed."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " ".join(value)
    elif isinstance(value, msgspec.Struct | list | dict):
        value = msgspec.json.encode(value).decode()
    elif isinstance(value, bytes):
        value = value.hex()
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
