"""[io] The home's salt for credential fingerprints: made once, readable by the owner only, never shown."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BYTES = 32


def load_salt(home: Path) -> bytes:
    """The salt of this home, made on first use; safe when several processes start at once."""
    path = home / "salt"
    while True:
        try:
            salt = path.read_bytes()
        except FileNotFoundError:
            _create(path)
            continue
        if len(salt) == _BYTES:
            return salt
        path.unlink(missing_ok=True)


def _create(path: Path) -> None:
    aside = path.with_name(f"salt.{os.getpid()}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, secrets.token_bytes(_BYTES))
    finally:
        os.close(fd)
    try:
        os.link(aside, path)  # unlike rename, this cannot replace the salt another process has just made
    except FileExistsError:
        pass
    finally:
        os.unlink(aside)
