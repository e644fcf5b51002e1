"""`python -m tests.clients.install`: install the clients of `catalog` that are not there yet.

In: the catalog; npm and pip with their own settings. Out: a folder per client, with the record `installed.json` of
what is in it, or `failed.txt` with the reason. Invariant: a client that cannot be installed does not keep the others
from it; nothing outside `catalog.ROOT` is touched, apart from the caches of npm and pip.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.clients.catalog import CLIENTS, NODE, ROOT, Client

_TIME_LIMIT_S = 900
_RECORD, _REASON = "installed.json", "failed.txt"


class InstallError(Exception):
    """A step of an installation failed; the text is its last output."""


def main() -> None:
    ROOT.mkdir(parents=True, exist_ok=True)
    for client in CLIENTS:
        if why_missing(client) is not None:
            _install(client)
        print(f"{client.name:12} {why_missing(client) or ', '.join(client.packages)}", flush=True)


def why_missing(client: Client) -> str | None:
    """Why the client of the catalog's versions cannot be used; None when it can."""
    reason, record = client.folder / _REASON, client.folder / _RECORD
    if reason.exists():
        return reason.read_text()
    if not record.exists():
        return "not installed: make test-clients"
    if json.loads(record.read_bytes()) != list(client.packages):
        return "another version is installed: make test-clients"
    return None


def _install(client: Client) -> None:
    shutil.rmtree(client.folder, ignore_errors=True)
    client.folder.mkdir()
    try:
        for command in _commands(client):
            _run(command, client.folder)
        if not client.path.exists():
            raise InstallError(f"{client.program} is not there after the installation")
    except InstallError as error:
        (client.folder / _REASON).write_text(f"cannot be installed here: {error}")
    else:
        (client.folder / _RECORD).write_text(json.dumps(client.packages))


def _commands(client: Client) -> Iterator[list[str]]:
    if client.registry == "pypi":
        yield [sys.executable, "-m", "venv", "."]
        yield ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *client.packages]
        return
    (client.folder / "package.json").write_text('{"private": true}')
    # No package's script is run but those that the catalog names.
    yield ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", *client.packages]
    if client.after_install:
        yield [str(NODE.path), *client.after_install]


def _run(command: list[str], folder: Path) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIME_LIMIT_S, check=False
        )
    except FileNotFoundError:
        raise InstallError(f"there is no {command[0]} on this machine") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"{command[0]} took more than {_TIME_LIMIT_S} s") from None
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()
        raise InstallError(" / ".join(said[-3:]) or f"{command[0]} ended with {ended.returncode}")


if __name__ == "__main__":
    main()
