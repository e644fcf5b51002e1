"""`lunaroute stats|cost|models|latency|tools`: sums and percentiles over what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from lunaroute.query.filter import Filter
from lunaroute.query.latency import Latency, latencies
from lunaroute.query.render_sums import latency_table, storage_table, tool_table, usage_table
from lunaroute.query.storage import Part, storage
from lunaroute.query.tools import ToolUsage, tool_usage
from lunaroute.query.usage import Dimension, Usage, usage

from .answering import print_items
from .asking import WrongInput, filter_options, home_option, one_line_errors, opened, output_options, store_option

_DIMENSIONS = ["hour", "day", "provider", "model", "client"]
_by_option = click.option(
    "--by", "by", multiple=True, type=click.Choice(_DIMENSIONS), help="Group by this; may be given several times."
)


@click.command("stats")
@click.option("--storage", "is_storage", is_flag=True, help="What takes how much disk space instead.")
@output_options
@_by_option
@home_option
@store_option
@filter_options
def stats_command(*, wanted: Filter, output: str | None, by: tuple[str, ...], is_storage: bool, home: Path) -> None:
    """Requests, tokens, cost and time, in all or by group; or what takes how much space."""
    if is_storage:
        _print_storage(output, home, has_filter=bool(by) or wanted != Filter())
        return
    _print_usage(wanted, output, _dimensions(by, ()), home)


@click.command("cost")
@output_options
@_by_option
@home_option
@store_option
@filter_options
def cost_command(*, wanted: Filter, output: str | None, by: tuple[str, ...], home: Path) -> None:
    """What it cost, by day and model unless --by says otherwise."""
    _print_usage(wanted, output, _dimensions(by, ("day", "model")), home)


@click.command("models")
@output_options
@home_option
@store_option
@filter_options
def models_command(*, wanted: Filter, output: str | None, home: Path) -> None:
    """Models, what they were used for, and what they cost."""
    _print_usage(wanted, output, ("provider", "model"), home)


@click.command("latency")
@output_options
@_by_option
@home_option
@store_option
@filter_options
def latency_command(*, wanted: Filter, output: str | None, by: tuple[str, ...], home: Path) -> None:
    """Percentiles of latency and time to first token, by model unless --by says otherwise. Within 2 %."""
    dimensions = _dimensions(by, ("model",))
    with opened(home) as connection:
        found = [] if connection is None else latencies(connection, wanted, dimensions)
        print_items(output, Latency, found, latency_table(found, dimensions))


@click.command("tools")
@output_options
@home_option
@store_option
@filter_options
def tools_command(*, wanted: Filter, output: str | None, home: Path) -> None:
    """Tools: how often called, how often failed, how long they took."""
    with opened(home) as connection:
        found = [] if connection is None else tool_usage(connection, wanted)
        print_items(output, ToolUsage, found, tool_table(found))


def _dimensions(by: tuple[str, ...], default: Sequence[Dimension]) -> Sequence[Dimension]:
    return cast(Sequence[Dimension], tuple(dict.fromkeys(by))) or default


def _print_storage(output: str | None, home: Path, *, has_filter: bool) -> None:
    if has_filter:
        raise WrongInput("--storage is about everything that is stored; leave out the filter and --by")
    with one_line_errors():
        parts = storage(home)
    print_items(output, Part, parts, storage_table(parts))


def _print_usage(wanted: Filter, output: str | None, by: Sequence[Dimension], home: Path) -> None:
    with opened(home) as connection:
        found = [] if connection is None else usage(connection, wanted, by)
        print_items(output, Usage, found, usage_table(found, by))
