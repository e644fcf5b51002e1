"""`lunaroute tail`: the newest events, one line each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from lunaroute.config import Config
from lunaroute.events import decode_event
from lunaroute.live.wakeups import Wakeups
from lunaroute.query.event_filter import EventFacts, EventFilter, facts_of
from lunaroute.query.filter import Among, Filter
from lunaroute.query.follow import Follower, follow
from lunaroute.query.render import event_line

from .answering import csv_row
from .asking import filter_options, home_option, limit_option, one_line_errors, sessions_dir


@click.command("tail")
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--csv", "output", flag_value="csv", help="CSV with a header line.")
@click.option("--json", "output", flag_value="json", help="The lines of the files as they are.")
@click.option("--session", metavar="ID", help="Only the session whose id begins like this.")
@limit_option(20)
@home_option
@filter_options
def tail_command(
    *, wanted: Filter, is_followed: bool, output: str | None, session: str | None, limit: int, home: Path
) -> None:
    """Show the newest events of the last days, and with -f those that come.

    A term of a filter holds for an event that says so: cost, latency and tokens stand in responses, client: and tag:
    hold for all events of a session.
    """
    if session is not None:
        wanted = wanted.and_also(Filter(conditions=(Among(field="session", names=(session,)),)))
    show = _shower(output)
    with one_line_errors():
        follower = Follower(sessions_dir(home), EventFilter(wanted))
        for line in follower.newest(limit):
            show(line)
        if is_followed:
            wakeups = Wakeups(Config(home=home).live_socket)
            for line in follow(follower, wakeups.wait):
                show(line)
                sys.stdout.flush()


def _shower(output: str | None) -> Callable[[bytes], None]:
    if output == "json":
        return click.echo
    if output == "csv":
        csv_row(EventFacts.__struct_fields__)
        return _show_csv
    console = Console()
    return lambda line: console.print(event_line(decode_event(line)), soft_wrap=True)


def _show_csv(line: bytes) -> None:
    facts = facts_of(decode_event(line))
    csv_row([getattr(facts, name) for name in facts.__struct_fields__])
