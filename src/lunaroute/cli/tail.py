"""`lunaroute tail`: the newest events, one line each."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import click
import msgspec
from rich.console import Console

from lunaroute.events import decode_event
from lunaroute.query.follow import Follower, follow
from lunaroute.query.render import event_line

from .asking import home_option, limit_option, one_line_errors, sessions_dir


@click.command("tail")
@click.option("-f", "--follow", "is_followed", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--json", "is_json", is_flag=True, help="The lines of the files as they are.")
@click.option("--session", metavar="ID", default="", help="Only the session whose id begins like this.")
@limit_option(20)
@home_option
def tail_command(is_followed: bool, is_json: bool, session: str, limit: int, home: Path) -> None:
    """Show the newest events of the last days, and with -f those that come."""
    follower = Follower(sessions_dir(home))
    console = Console()

    def show(line: bytes) -> None:
        if is_json:
            click.echo(line)
        else:
            console.print(event_line(decode_event(line)), soft_wrap=True)

    with one_line_errors():
        found: deque[tuple[str, bytes]] = deque(maxlen=None)
        for line in follower.poll():
            event = _event(line)
            if event is not None and event.session_id.startswith(session.lower()):
                found.append((event.timestamp, line))
        for _, line in sorted(found, key=lambda one: one[0])[-limit:]:
            show(line)
        for line in follow(follower) if is_followed else ():
            event = _event(line)
            if event is not None and event.session_id.startswith(session.lower()):
                show(line)


class _Head(msgspec.Struct):
    session_id: str
    timestamp: str


_head = msgspec.json.Decoder(_Head)


def _event(line: bytes) -> _Head | None:
    try:
        return _head.decode(line)
    except msgspec.MsgspecError:
        return None
