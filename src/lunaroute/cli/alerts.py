"""`lunaroute alerts list|lift`: how the rules of [alerts] stand, and letting pass what one of them blocks."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec
from rich.table import Table

from lunaroute.alerts.ledger import ask_for_lift, read_firing, read_latest
from lunaroute.config import Config
from lunaroute.config_file import load_config
from lunaroute.query.render import plain

from .answering import print_items, print_pretty
from .asking import WrongInput, home_option, limit_option, one_line_errors, output_options


class RuleStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list."""

    rule: str
    when: str
    filter: str
    blocks: bool
    firing: list[str]
    """Subjects for which it is exceeded now; one without a name is empty."""
    is_lifted: bool


@click.group("alerts")
def alerts_group() -> None:
    """Show and lift the rules of [alerts] in config.toml."""


@alerts_group.command("list")
@output_options
@limit_option(10)
@home_option
def list_command(*, output: str | None, limit: int, home: Path) -> None:
    """Show every rule, whether it is exceeded, and what happened lately."""
    config = _config(home)
    firing = read_firing(config.alerts_dir)
    rows = []
    for name, alert in config.alerts.items():
        found = firing.get(name, {})
        is_lifted = bool(found) and all(one.is_lifted for one in found.values())
        row = RuleStanding(
            rule=name,
            when=alert.when,
            filter=alert.filter,
            blocks=alert.block,
            firing=list(found),
            is_lifted=is_lifted,
        )
        rows.append(row)
    print_items(output, RuleStanding, rows, _table(rows))
    if output is None:
        for entry in read_latest(config.alerts_dir, limit):
            print_pretty(plain(f"{entry.at[:19].replace('T', ' ')}  {entry.message}"))


@alerts_group.command("lift")
@click.argument("rule", metavar="RULE")
@home_option
def lift_command(*, rule: str, home: Path) -> None:
    """Let pass what RULE blocks now; it blocks again when it is exceeded anew, for a budget in the next period."""
    config = _config(home)
    alert = config.alerts.get(rule)
    if alert is None:
        known = ", ".join(config.alerts) or "none"
        raise WrongInput(f"there is no rule {rule!r}; there are: {known}")
    if not read_firing(config.alerts_dir).get(rule):
        click.echo(f"{rule} is not exceeded; nothing to lift")
        return
    with one_line_errors():
        ask_for_lift(config.alerts_dir, rule)
    click.echo(f"{rule} is lifted within some seconds, where a server runs")


def _config(home: Path) -> Config:
    return load_config({"home": str(home)}, os.environ)


def _table(rows: list[RuleStanding]) -> Table:
    table = Table("Rule", "When", "For", "Then", "Now", box=None, pad_edge=False)
    for row in rows:
        state = "exceeded" + (f": {len(row.firing)}" if any(row.firing) else "") if row.firing else "–"
        table.add_row(
            plain(row.rule),
            plain(row.when),
            plain(row.filter or "everything"),
            "block" if row.blocks else "tell",
            state + (", lifted" if row.is_lifted else ""),
        )
    return table
