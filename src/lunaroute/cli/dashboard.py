"""`lunaroute dashboard`: the dashboard alone, for recordings that exist already."""

from __future__ import annotations

import os

import click

from .env import CONFIG_OPTION, HOME_OPTION


@click.command("dashboard")
@click.option("--ui-port", type=int, help="Port to listen on; 0 = a free one.  [default: 8082]")
@HOME_OPTION
@CONFIG_OPTION
def dashboard_command(ui_port: int | None, home: str | None, config: str | None) -> None:
    """Show recordings in a browser until Ctrl-C. `lunaroute serve` has it running already."""
    from lunaroute.config_file import load_config
    from lunaroute.dashboard.server import run_dashboard
    from lunaroute.encryption.keys import look_for_keys
    from lunaroute.supervisor.dashboard import dashboard_url
    from lunaroute.supervisor.instance import prepare_home
    from lunaroute.supervisor.listeners import bind_listeners

    settings = load_config({"home": home, "config": config, "ui_port": ui_port}, os.environ)
    look_for_keys(lambda: settings.encryption.key_file)
    prepare_home(settings)
    listener = bind_listeners(settings.dashboard.host, settings.server.ui_port, 1, port_flag="--ui-port")[0]
    click.echo(f"lunaroute: {dashboard_url(settings, listener.getsockname()[1])}", err=True)
    run_dashboard(settings, listener)
