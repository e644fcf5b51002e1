"""`lunaroute token`: what a program or a browser needs for a dashboard that listens beyond this machine."""

from __future__ import annotations

import os

import click

from .env import CONFIG_OPTION, HOME_OPTION


@click.command("token")
@click.option("--tenant", metavar="NAME", help="For the recordings of this tenant only.")
@click.option("--revoke", "is_revoked", is_flag=True, help="Take it back: from then on another one is the token.")
@HOME_OPTION
@CONFIG_OPTION
def token_command(tenant: str | None, is_revoked: bool, home: str | None, config: str | None) -> None:
    """Print the token for reading over HTTP, of everything or of one tenant.

    It is made of the home's salt: the same each time, until it is taken back (--revoke) or there is another salt.
    """
    from lunaroute.access.policy import EVERYBODY, access_token, tenant_token
    from lunaroute.config_file import load_config
    from lunaroute.errors import ConfigError
    from lunaroute.relay.salt import load_salt
    from lunaroute.relay.tenants import is_tenant
    from lunaroute.supervisor.instance import prepare_home
    from lunaroute.supervisor.revocations import read_revocations, revoke

    settings = load_config({"home": home, "config": config}, os.environ)
    if tenant is not None and not is_tenant(tenant):
        raise ConfigError(f"--tenant {tenant}: is no name of a tenant")
    prepare_home(settings)
    if is_revoked:
        revoke(settings.home, tenant)
        click.echo("Taken back: a running server refuses it within a second. The same command without --revoke prints")
        click.echo("the one that is the token now.")
        return
    salt, counts = load_salt(settings.home), read_revocations(settings.home)
    if tenant is None:
        click.echo(access_token(salt, counts.get(EVERYBODY, 0)))
    else:
        click.echo(tenant_token(salt, tenant, counts.get(tenant, 0)))
