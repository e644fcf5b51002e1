"""`lunaroute token`: what a program or a browser needs for a dashboard that listens beyond this machine."""

from __future__ import annotations

import os

import click

from .env import CONFIG_OPTION, HOME_OPTION


@click.command("token")
@click.option("--tenant", metavar="NAME", help="For the recordings of this tenant only.")
@HOME_OPTION
@CONFIG_OPTION
def token_command(tenant: str | None, home: str | None, config: str | None) -> None:
    """Print the token for reading over HTTP, of everything or of one tenant.

    It is made of the home's salt: the same each time, until there is another salt.
    """
    from lunaroute.access.policy import access_token, tenant_token
    from lunaroute.config_file import load_config
    from lunaroute.errors import ConfigError
    from lunaroute.relay.salt import load_salt
    from lunaroute.relay.tenants import is_tenant
    from lunaroute.supervisor.instance import prepare_home

    settings = load_config({"home": home, "config": config}, os.environ)
    if tenant is not None and not is_tenant(tenant):
        raise ConfigError(f"--tenant {tenant}: is no name of a tenant")
    prepare_home(settings)
    salt = load_salt(settings.home)
    click.echo(access_token(salt) if tenant is None else tenant_token(salt, tenant))
