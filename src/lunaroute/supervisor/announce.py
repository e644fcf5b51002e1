"""What `lunaroute serve` says once it can be used: where it listens, where recordings go, what to do next."""

from __future__ import annotations

import shlex
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from lunaroute import __version__
from lunaroute.access.policy import is_loopback
from lunaroute.config import Config

from .dashboard import dashboard_url
from .health import base_url
from .roles import parts_of

_EVERYWHERE = ("0.0.0.0", "::", "")


def announcement(config: Config, pid: int, *, has_dashboard: bool) -> list[str]:
    """A few lines for a person. Raises OSError."""
    server = config.server
    parts = parts_of(server.role)
    recordings = f"recordings go to {config.sessions_dir}"
    look = [f"look at them: {dashboard_url(config, server.ui_port)}"] if has_dashboard else []
    if not parts.relay:
        what = f"records what passes through {config.spool_dir}" if parts.recorder else "shows recordings"
        return [f"{__version__} {what} (pid {pid})", *([recordings] if parts.recorder else []), *look]
    workers = f", {server.workers} workers" if server.workers > 1 else ""
    lines = [
        f"{__version__} listens on {base_url(server.host, server.port)} (pid {pid}{workers})",
        *([recordings] if parts.recorder else [f"what passes waits in {config.spool_dir} for a recorder"]),
        f'point clients at it: eval "$({_env_command(config.home)})"',
    ]
    lines[1:1] = look
    if not is_loopback(server.host):
        lines += _exposed(config)
    return lines


def _exposed(config: Config) -> list[str]:
    """What is open to others once it listens beyond this machine."""
    server = config.server
    where = "on all addresses of this machine" if server.host in _EVERYWHERE else f"on {server.host}"
    lines = [
        f"it listens {where}: whoever can reach port {server.port} can send requests through it to "
        f"{', '.join(sorted(config.upstreams))}, with keys of their own, and they are recorded here; there is no TLS"
    ]
    keyless = sorted(
        f"{name} ({url})" for name, url in config.upstreams.items() if _is_near(urlsplit(url).hostname or "")
    )
    if keyless:
        lines.append(
            f"providers on this machine or network are open to them too, mostly without a key: {', '.join(keyless)}"
        )
    return lines


def _env_command(home: Path) -> str:
    is_usual = home == Path("~/.lunaroute").expanduser()
    return "lunaroute env" if is_usual else f"lunaroute env --home {shlex.quote(str(home))}"


def _is_near(host: str) -> bool:
    """Whether it is an address that the internet cannot reach by itself."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".lan"))
