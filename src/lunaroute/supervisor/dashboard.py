"""Where the dashboard listens, and the token that it wants from those beyond this machine.

Traffic comes first: a dashboard that cannot listen is a line in the log, never a server that does not start.
"""

from __future__ import annotations

import os
import secrets
from ipaddress import ip_address
from pathlib import Path

from lunaroute.config import Config

from .health import base_url

TOKEN_FILE = "dashboard-token"


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def needed_token(config: Config) -> str | None:
    """What every request to the dashboard has to show; None = nothing, as only this machine reaches it. Raises
    OSError."""
    return None if is_loopback(config.dashboard.host) else _token(config.run_dir / TOKEN_FILE)


def dashboard_url(config: Config, port: int) -> str:
    """The address for a browser. Raises OSError."""
    token = needed_token(config)
    return base_url(config.dashboard.host, port) + (f"/?token={token}" if token else "/")


def _token(path: Path) -> str:
    """Of this home; made at the first time."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    token = secrets.token_urlsafe(32)
    with os.fdopen(fd, "w") as file:
        file.write(token)
    return token
