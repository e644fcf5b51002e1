"""Places for archives, and what a hostile world does to them: a directory, and an S3 bucket over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import from_url


class Place(Protocol):
    url: str

    def beside(self, name: str) -> Place:
        """Another one, empty."""

    def read(self, key: str) -> bytes: ...
    def damage(self, key: str, data: bytes | None) -> None:
        """Put other bytes under a key behind the archive's back; None = take the object away."""


class Directory:
    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self._folder = folder

    def beside(self, name: str) -> Directory:
        return Directory(self._folder.with_name(name))

    def read(self, key: str) -> bytes:
        return (self._folder / key).read_bytes()

    def damage(self, key: str, data: bytes | None) -> None:
        if data is None:
            (self._folder / key).unlink()
        else:
            (self._folder / key).write_bytes(data)


class Bucket:
    """A prefix in a bucket that is there, of a server that the environment names."""

    def __init__(self, name: str, prefix: str = "some/prefix") -> None:
        self.name = name
        self.url = f"s3://{name}/{prefix}"
        self._store = from_url(self.url)

    def beside(self, name: str) -> Bucket:
        return Bucket(self.name, name)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self._store, key).bytes())

    def damage(self, key: str, data: bytes | None) -> None:
        if data is None:
            obstore.delete(self._store, key)
        else:
            obstore.put(self._store, key, data)
