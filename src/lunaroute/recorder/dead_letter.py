"""[io] What could not be recorded as it should: a JSON file each, with the reason; nothing is lost quietly."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


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

    def add(self, name: str, reason: str, content: object) -> None:
        """`name` makes it unique: the same letter again replaces itself. `content` must be encodable."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = msgspec.json.encode({"reason": reason, "content": content})
        path = self._folder / f"{name}.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(body)
