"""What happened, for good: `alerts.jsonl`, one line per change; and what fires now, for a restart and for commands.

All in `<home>/alerts`, readable by its owner only.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.sinks.layout import make_private_dir

from .watch import Change, Firing, What
from .words import line_of

RECORD_FILE = "alerts.jsonl"
_STATE_FILE = "firing.json"
_LIFT_PREFIX = "lift-"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the record, and what is sent to webhooks and commands."""

    at: str
    """RFC 3339."""
    rule: str
    when: str
    """The rule as it was written."""
    what: What
    subject: str
    value: float
    limit: float
    is_blocking: bool
    message: str


def entry_of(change: Change) -> Entry:
    rule = change.rule
    return Entry(
        at=change.at.isoformat(),
        rule=rule.name,
        when=rule.config.when,
        what=change.what,
        subject=change.subject,
        value=change.value,
        limit=rule.limit,
        is_blocking=rule.blocks,
        message=line_of(change),
    )


class Ledger:
    """One process writes; commands read, and ask for a lift by a file of their own."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        make_private_dir(folder)
        self._folder = folder
        self._stored = b""

    def firing(self) -> dict[str, dict[str, Firing]]:
        """As of the last `store`; nothing where there was none, or nobody understands it."""
        return read_firing(self._folder)

    def store(self, firing: dict[str, dict[str, Firing]]) -> None:
        """Raises OSError."""
        data = msgspec.json.encode(firing)
        if data != self._stored:
            put(self._folder / _STATE_FILE, data)
            self._stored = data

    def add(self, entries: list[Entry]) -> None:
        """On disk on return. Raises OSError."""
        fd = os.open(self._folder / RECORD_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
            os.fsync(fd)
        finally:
            os.close(fd)

    def lifts(self) -> list[str]:
        """Rules that somebody wants lifted, each asked for once."""
        asked = list(self._folder.glob(f"{_LIFT_PREFIX}*"))
        for path in asked:
            path.unlink(missing_ok=True)
        return [path.name.removeprefix(_LIFT_PREFIX) for path in asked]


def ask_for_lift(folder: Path, rule: str) -> None:
    """Raises OSError."""
    make_private_dir(folder)
    (folder / f"{_LIFT_PREFIX}{rule}").touch(mode=0o600)


def read_firing(folder: Path) -> dict[str, dict[str, Firing]]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / _STATE_FILE).read_bytes(), type=dict[str, dict[str, Firing]])
    return {}


def read_latest(folder: Path, count: int) -> list[Entry]:
    """The latest lines of the record, the oldest first; what is no entry is passed over."""
    entries: deque[Entry] = deque(maxlen=count)
    with suppress(FileNotFoundError), (folder / RECORD_FILE).open("rb") as file:
        for line in file:
            with suppress(msgspec.MsgspecError):
                entries.append(msgspec.json.decode(line, type=Entry))
    return list(entries)


def put(path: Path, data: bytes) -> None:
    """In one step, readable by its owner only. Raises OSError."""
    aside = path.with_name(f"{path.name}.new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    os.replace(aside, path)
