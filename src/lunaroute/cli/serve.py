"""`lunaroute serve`: the supervisor, in the foreground."""

from __future__ import annotations

import os
from typing import Any

import click


@click.command("serve")
@click.option(
    "--role",
    type=click.Choice(["all", "relay", "recorder", "web"]),
    help="Only this part of a server.  [default: all]",
)
@click.option("--node", metavar="NAME", help="Name of this machine or pod in recordings.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port of the relay.  [default: 8081]")
@click.option("--ui-port", type=int, help="Port of the dashboard.  [default: 8082]")
@click.option("--home", metavar="DIR", help="Where everything is kept.  [default: ~/.lunaroute]")
@click.option("--config", metavar="FILE", help="Settings file.  [default: config.toml in the home]")
@click.option("--workers", type=int, help="Relay processes on the one port.  [default: 1]")
@click.option("--upstream", metavar="NAME=URL", multiple=True, help="Add or move a provider; repeatable.")
def serve_command(**flags: Any) -> None:
    """Relay and record LLM traffic until Ctrl-C.

    Settings come from these flags, then LUNAROUTE_… variables, then config.toml, then defaults.
    """
    from lunaroute.config_file import load_config
    from lunaroute.encryption.keys import keyring, look_for_keys
    from lunaroute.supervisor.roles import refuse_senseless
    from lunaroute.supervisor.server import serve

    config = load_config(flags, os.environ)
    refuse_senseless(config, flags)
    look_for_keys(lambda: config.encryption.key_file)
    keyring()  # a key that is none is to stop the server, not its children
    serve(config)
