"""`lunaroute top`: sessions, tokens a second, spend and tools, as they are now."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from lunaroute.config import Config
from lunaroute.errors import LunarouteError

from .asking import home_option


@click.command("top")
@home_option
def top_command(*, home: Path) -> None:
    """Show what is going on until q is pressed: sessions that are open, what streams, what it costs.

    Enter shows below what the chosen session streams, e the newest events of all; p holds the screen still.
    """
    if find_spec("textual") is None:
        raise LunarouteError("textual is not installed: pip install 'lunaroute[top]'")
    from lunaroute.top.screen import TopApp

    TopApp(Config(home=home)).run()
