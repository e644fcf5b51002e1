"""[io] What could not be recorded as it should: a JSON file each, with the reason; nothing is lost quietly.

An exchange that broke a stage is in its session by its bytes; its letter names it and holds its head, so that it can be
read again (`retry`). An event that a sink could not store is in its letter whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lunaroute.encryption.lines import open_line, seal_line
from lunaroute.events import Event

from .rereading import ExchangeHead

_SUFFIX = ".json"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of `exchange` and `event` is there; letters of other versions may have neither."""

    reason: str
    exchange: ExchangeHead | None = None
    event: Event | None = None
    sink: str = ""
    """One of `[sinks]` that refused the event; the recording itself has it."""

    @property
    def name(self) -> str:
        """The same letter again has the same name."""
        if self.exchange is not None:
            return self.exchange.opened.request_id
        if self.event is None:
            return ""
        return "-".join(filter(None, (self.event.session_id, str(self.event.seq), self.sink)))


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(DeadLetter)


class DeadLetters:
    """A folder of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def count(self) -> int:
        try:
            return len(os.listdir(self._folder))
        except FileNotFoundError:
            return 0

    def add(self, letter: DeadLetter) -> None:
        """Keep it; one of its name is replaced. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{letter.name}{_SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(seal_line(_encode(letter)))

    def read(self) -> Iterator[tuple[str, DeadLetter]]:
        """(name, letter) of each, by name. One that cannot be read says so as its reason."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                yield path.name.removesuffix(_SUFFIX), _decoder.decode(open_line(path.read_bytes()))
            except (OSError, msgspec.MsgspecError) as error:
                yield path.name.removesuffix(_SUFFIX), DeadLetter(reason=f"this letter cannot be read: {error}")

    def remove(self, name: str) -> None:
        """It is done with."""
        (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)
