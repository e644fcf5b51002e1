"""A bounded map of ids that knows what changed in it: what the pipeline remembers beyond single sessions.

Entries leave oldest first, when there are too many or when they are too old. Putting a key again makes it new.
Every decision depends only on what was put, so a replay forgets the same entries at the same moments.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    order: int
    wall_ns: int
    value: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Entry)


def id_key(*parts: str) -> str:
    """A short key for ids of any length: 96 bits, so that no two of 100,000 ids meet in practice."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


conversation_key = lru_cache(maxsize=4096)(id_key)
"""The same for keys that are asked for again and again."""


class BoundedIndex:
    """Key → value, in order of insertion."""

    def __init__(self, prefix: str, max_entries: int, max_age_ns: int) -> None:
        self._prefix = prefix
        self._max_entries = max_entries
        self._max_age_ns = max_age_ns
        self._entries: dict[str, _Entry] = {}
        self._order = 0
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> str | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: str, value: str, wall_ns: int) -> None:
        """Remember; `wall_ns` is the time of the record that says so."""
        self._entries.pop(key, None)
        self._entries[key] = _Entry(self._order, wall_ns, value)
        self._order += 1
        self._changed.add(key)
        while len(self._entries) > self._max_entries or self._oldest_wall_ns() < wall_ns - self._max_age_ns:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        if self._entries.pop(key, None) is not None:
            self._changed.add(key)

    def take_changes(self, put: dict[str, bytes], deleted: set[str]) -> None:
        """Add what changed since the last call, under this index's prefix."""
        for key in self._changed:
            entry = self._entries.get(key)
            if entry is None:
                deleted.add(self._prefix + key)
            else:
                put[self._prefix + key] = _encoder.encode(entry)
        self._changed.clear()

    def restore(self, blobs: dict[str, bytes]) -> None:
        """Take back what `take_changes` gave out; keys of other prefixes are left alone."""
        start = len(self._prefix)
        mine = ((key[start:], _decoder.decode(blob)) for key, blob in blobs.items() if key.startswith(self._prefix))
        self._entries = dict(sorted(mine, key=lambda item: item[1].order))
        self._order = max((entry.order for entry in self._entries.values()), default=-1) + 1

    def _oldest_wall_ns(self) -> int:
        return next(iter(self._entries.values())).wall_ns
