"""`lunaroute reprice`: compute the costs of finished sessions again, with the prices of today's table and settings."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lunaroute.config_file import load_config
from lunaroute.encryption.keys import look_for_keys
from lunaroute.pricing import PICODOLLARS, Pricer
from lunaroute.query.render import plain, usd
from lunaroute.sinks.reprice import ModelCosts, RepriceReport, reprice

from .asking import home_option, one_line_errors, warn_of_stores
from .waiting import shown_progress


@click.command("reprice")
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="Settings file with prices of your own."
)
@home_option
def reprice_command(*, is_dry: bool, config: Path | None, home: Path) -> None:
    """Compute the costs of finished sessions again.

    Each exchange is priced as of its own time, by the price table of this program and the prices of your own
    ([prices] in config.toml). Costs in the session files and in sessions.db change, nothing else does. Sessions that
    are not over are left alone, so a server may be running.
    """
    settings = load_config({"home": home, "config": config}, os.environ)
    look_for_keys(lambda: settings.encryption.key_file)
    if not settings.sessions_dir.is_dir():
        click.echo("Nothing recorded yet, so there is nothing to price.")
        return
    pricer = Pricer(settings.own_prices)
    with one_line_errors(), shown_progress("pricing sessions") as on_progress:
        report = reprice(settings.sessions_dir, settings.database, pricer, is_dry=is_dry, on_progress=on_progress)
    warn_of_stores(settings)
    _print(report, pricer.version, is_dry=is_dry)


def _print(report: RepriceReport, price_version: str, *, is_dry: bool) -> None:
    for problem in report.left_alone:
        click.echo(f"left alone: {problem}", err=True)
    if report.by_model:
        Console().print(_table(report))
    done = "would change" if is_dry else "changed"
    live = f", {report.live_count} not over yet" if report.live_count else ""
    click.echo(f"{report.changed_count} of {report.session_count} sessions {done}{live}. Prices: {price_version}.")
    if not report.has_index:
        click.echo("There is no index; `lunaroute reindex` makes one.")


def _table(report: RepriceReport) -> Table:
    """One line per model, the dearest first, and the sum."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("model", no_wrap=True, overflow="ellipsis")
    table.add_column("provider", no_wrap=True)
    for heading in ("exchanges", "old", "new", "difference", "unpriced"):
        table.add_column(heading, justify="right", no_wrap=True)
    total = ModelCosts()
    for (provider, model), costs in sorted(report.by_model.items(), key=lambda item: (-item[1].new, item[0])):
        _add_row(table, model, provider, costs)
        total.take(costs)
    _add_row(table, "all", "", total)
    return table


def _add_row(table: Table, model: str, provider: str, costs: ModelCosts) -> None:
    table.add_row(
        plain(model),
        plain(provider),
        str(costs.exchanges),
        _dollars(costs.old, costs.exchanges - costs.old_unpriced),
        _dollars(costs.new, costs.exchanges - costs.new_unpriced),
        usd((costs.new - costs.old) / PICODOLLARS),
        f"{costs.old_unpriced} → {costs.new_unpriced}" if costs.old_unpriced or costs.new_unpriced else "",
    )


def _dollars(picodollars: int, priced: int) -> str:
    return usd(picodollars / PICODOLLARS if priced else None)
