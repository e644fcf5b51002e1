"""Who gets into the dashboard, and the address that is printed for a browser.

Traffic comes first: a dashboard that cannot listen is a line in the log, never a server that does not start.
"""

from __future__ import annotations

from lunaroute.access.policy import AccessPolicy
from lunaroute.config import Config
from lunaroute.relay.salt import load_salt

from .health import base_url


def access_policy(config: Config) -> AccessPolicy:
    """Whom the dashboard lets in, by where it listens. Raises OSError."""
    return AccessPolicy.of(host=config.dashboard.host, salt=load_salt(config.home))


def dashboard_url(config: Config, port: int) -> str:
    """The address for a browser, with the token where one is needed. Raises OSError."""
    token = access_policy(config).token
    return base_url(config.dashboard.host, port) + (f"/?token={token}" if token else "/")
