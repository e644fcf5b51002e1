"""A bounded map of ids that knows what changed in it: what the pipeline remembers beyond single sessions.

Entries leave oldest first, when there are too many or when they are too old. Putting a key again makes it new.
Every decision depends only on what was put, so a replay forgets the same entries at the same moments.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Generic

import msgspec

from .index_entry import Entry, Value

_encoder = msgspec.msgpack.Encoder()
_PAGE_ENTRIES = 256


def id_key(*parts: str) -> str:
    """A short key for ids of any length: 96 bits, so that no two of 100,000 ids meet in practice."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


conversation_key = lru_cache(maxsize=4096)(id_key)
"""The same for keys that are asked for again and again."""


@lru_cache(maxsize=1024)
def _scope_key(scope: str, name: str) -> str:
    return id_key(scope, name)


def chain_key(scope: str, name: str, chain: bytes) -> str:
    """A key for what is a digest already; `name` narrows the scope."""
    return _scope_key(scope, name) + chain.hex()


class BoundedIndex(Generic[Value]):
    """Key → value, in order of insertion. `kind` is the type of the values, which refer to nothing that changes.

    Stored by the hundred, not one by one: what is put between two checkpoints lies together."""

    def __init__(self, prefix: str, kind: Any, max_entries: int, max_age_ns: int) -> None:
        self._prefix = prefix
        self._decoder: msgspec.msgpack.Decoder[list[tuple[str, Entry[Value]]]] = msgspec.msgpack.Decoder(
            list[tuple[str, Entry[kind]]]
        )
        self._max_entries = max_entries
        self._max_age_ns = max_age_ns
        self._entries: dict[str, Entry[Value]] = {}
        self._pages: dict[int, list[str]] = {}
        """Page → keys that were put while it was the last; some may have left, or moved on to a later one."""
        self._order = 0
        self._changed: set[int] = set()
        """Pages."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Value | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: str, value: Value, wall_ns: int) -> None:
        """Remember; `wall_ns` is the time of the record that says so."""
        entries, order = self._entries, self._order
        if key in entries:
            self.drop(key)
        page = order // _PAGE_ENTRIES
        entries[key] = Entry(order, wall_ns, value)
        self._order = order + 1
        if page in self._pages:
            self._pages[page].append(key)
        else:
            self._pages[page] = [key]
        self._changed.add(page)
        oldest_wall_ns = wall_ns - self._max_age_ns
        while len(entries) > self._max_entries or next(iter(entries.values())).wall_ns < oldest_wall_ns:
            self.drop(next(iter(entries)))

    def drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._changed.add(entry.order // _PAGE_ENTRIES)

    def take_changes(self, put: dict[str, bytes], deleted: set[str]) -> None:
        """Add the pages that changed since the last call, under this index's prefix."""
        for page in self._changed:
            entries = self._entries_of(page)
            if entries:
                put[f"{self._prefix}{page}"] = _encoder.encode(entries)
            else:
                del self._pages[page]
                deleted.add(f"{self._prefix}{page}")
        self._changed.clear()

    def restore(self, blobs: dict[str, bytes]) -> None:
        """Take back what `take_changes` gave out; keys of other prefixes are left alone."""
        mine = [
            entry for key, blob in blobs.items() if key.startswith(self._prefix) for entry in self._decoder.decode(blob)
        ]
        mine.sort(key=lambda item: item[1].order)
        self._entries = dict(mine)
        for key, entry in mine:
            self._pages.setdefault(entry.order // _PAGE_ENTRIES, []).append(key)
        self._order = mine[-1][1].order + 1 if mine else 0

    def _entries_of(self, page: int) -> list[tuple[str, Entry[Value]]]:
        found = ((key, self._entries.get(key)) for key in dict.fromkeys(self._pages[page]))
        return [(key, entry) for key, entry in found if entry is not None and entry.order // _PAGE_ENTRIES == page]
