"""What `lunaroute serve` says once it can be used: where it listens, where recordings go, what to do next."""

from __future__ import annotations

import shlex
from ipaddress import ip_address
from pathlib import Path

from lunaroute import __version__
from lunaroute.config import Config

from .health import base_url


def announcement(config: Config, pid: int) -> list[str]:
    """Two or three lines for a person."""
    server = config.server
    workers = f", {server.workers} workers" if server.workers > 1 else ""
    lines = [
        f"{__version__} listens on {base_url(server.host, server.port)} (pid {pid}{workers})",
        f"recordings go to {config.sessions_dir}",
        f'point clients at it: eval "$({_env_command(config.home)})"',
    ]
    if not _is_loopback(server.host):
        lines.append(
            f"it listens on {server.host}, beyond this machine: whoever can reach port {server.port} "
            "can send requests through it, and they are recorded here"
        )
    return lines


def _env_command(home: Path) -> str:
    is_usual = home == Path("~/.lunaroute").expanduser()
    return "lunaroute env" if is_usual else f"lunaroute env --home {shlex.quote(str(home))}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
