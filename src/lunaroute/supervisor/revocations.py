"""[io] Which tokens of a home were taken back: a line each, with the moment and whose token it was.

Only ever added to. A token is made anew for each time that the one before it was taken back (`access.policy`), so the
number of a name's lines is all there is to know.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from lunaroute.access.policy import EVERYBODY

FILE = "revoked-tokens"


def read_revocations(home: Path) -> Counter[str]:
    """How often a tenant's token was taken back; under `EVERYBODY`, the one that shows everything. Raises OSError."""
    try:
        lines = (home / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return Counter()
    # The last word of a line, so that one that a power cut tore off spoils not even the one behind it.
    return Counter(line.split()[-1] for line in lines if line.strip())


def revoke(home: Path, tenant: str | None) -> None:
    """Take back the token of a tenant, or the one that shows everything; durable on return. Raises OSError."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {EVERYBODY if tenant is None else tenant}\n"
    fd = os.open(home / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(line.encode())  # one write, so that two who revoke at once do not mix
        file.flush()
        os.fsync(fd)


def version_of(home: Path) -> tuple[int, int, int] | None:
    """Changes with the file; None where there is none. Raises OSError."""
    try:
        status = (home / FILE).stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
