"""What `lunaroute serve` says once it can be used: where it listens, where recordings go, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from lunaroute import __version__
from lunaroute.config import Config

from .dashboard import dashboard_url, is_loopback
from .health import base_url


def announcement(config: Config, pid: int, *, has_dashboard: bool) -> list[str]:
    """A few lines for a person. Raises OSError."""
    server = config.server
    workers = f", {server.workers} workers" if server.workers > 1 else ""
    lines = [
        f"{__version__} listens on {base_url(server.host, server.port)} (pid {pid}{workers})",
        f"recordings go to {config.sessions_dir}",
        f'point clients at it: eval "$({_env_command(config.home)})"',
    ]
    if has_dashboard:
        lines.insert(1, f"look at them: {dashboard_url(config, server.ui_port)}")
    if not is_loopback(server.host):
        lines.append(
            f"it listens on {server.host}, beyond this machine: whoever can reach port {server.port} "
            "can send requests through it, and they are recorded here"
        )
    return lines


def _env_command(home: Path) -> str:
    is_usual = home == Path("~/.lunaroute").expanduser()
    return "lunaroute env" if is_usual else f"lunaroute env --home {shlex.quote(str(home))}"
