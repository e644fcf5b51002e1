"""The threads of sessions that are not over: one linear history each, its newest request and how that ended.

Storable like everything that a restart goes on from: `t:<session_id>:<thread_id>`.
"""

from __future__ import annotations

import msgspec

from .clues import ThreadKind
from .thread import Thread

_MOST_THREADS = 256
"""Per session; the oldest leave first. What comes back to one that left begins it again."""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Thread)


class ThreadBook:
    """Threads by session."""

    def __init__(self) -> None:
        self._threads: dict[str, dict[str, Thread]] = {}
        self._order = 0
        self._changed: set[tuple[str, str]] = set()
        self._stored: set[tuple[str, str]] = set()
        """What was given out and not deleted since."""

    def get(self, session_id: str, thread_id: str) -> Thread | None:
        return self._threads.get(session_id, {}).get(thread_id)

    def place(self, session_id: str, thread_id: str, kind: ThreadKind, parent_thread_id: str | None) -> Thread:
        """The session's thread of this name, made where there is none."""
        threads = self._threads.setdefault(session_id, {})
        thread = threads.get(thread_id)
        if thread is None:
            thread = threads[thread_id] = Thread(thread_id, kind, parent_thread_id, self._order)
            self._order += 1
            self._changed.add((session_id, thread_id))
            if len(threads) > _MOST_THREADS:
                oldest = next(iter(threads))
                del threads[oldest]
                self._changed.add((session_id, oldest))
        return thread

    def changed(self, session_id: str, thread: Thread) -> None:
        self._changed.add((session_id, thread.thread_id))

    def forget(self, session_id: str) -> None:
        """The session is over."""
        for thread_id in self._threads.pop(session_id, {}):
            self._changed.add((session_id, thread_id))

    def take_changes(self, put: dict[str, bytes], deleted: set[str]) -> None:
        for name in self._changed:
            thread = self.get(*name)
            key = f"t:{name[0]}:{name[1]}"
            if thread is not None:
                put[key] = _encode(thread)
                self._stored.add(name)
            elif name in self._stored:
                deleted.add(key)
                self._stored.discard(name)
        self._changed.clear()

    def restore(self, blobs: dict[str, bytes]) -> None:
        found = [(key, _decoder.decode(blob)) for key, blob in blobs.items() if key.startswith("t:")]
        for key, thread in sorted(found, key=lambda item: item[1].order):
            session_id = key[2:].partition(":")[0]
            self._threads.setdefault(session_id, {})[thread.thread_id] = thread
            self._stored.add((session_id, thread.thread_id))
            self._order = thread.order + 1
