"""The threads of sessions that are not over: one linear history each, its newest request and how that ended.

Storable like everything that a restart goes on from: `t:<session_id>:<thread_id>`.
"""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import Outcome

from .context import Answered, Prompt
from .history import EMPTY
from .identity import ThreadKind

_MOST_THREADS = 256
"""Per session; the oldest leave first. What comes back to one that left begins it again."""


class Thread(msgspec.Struct, array_like=True):
    """One linear history inside a session."""

    thread_id: str
    kind: ThreadKind
    parent_thread_id: str | None
    order: int
    open_exchanges: int = 0
    request_id: str | None = None
    """Of the newest request."""
    chain: bytes = EMPTY
    """History of the newest request."""
    head: bytes = EMPTY
    """The same with the answer to it, as soon as there is one."""
    outcome: Outcome | None = None
    """How the newest request ended; None while it is open."""
    is_answered: bool = False
    prompt: Prompt | None = None
    """Of the newest request."""
    answered_prompt: Prompt | None = None
    """The newest that the provider said its use of."""
    answered: Answered | None = None
    """What it said."""

    def asked(self, request_id: str, chain: bytes, prompt: Prompt | None) -> None:
        """A request of this thread arrived."""
        self.open_exchanges += 1
        self.prompt = prompt
        self.request_id, self.chain, self.head = request_id, chain, chain
        self.outcome, self.is_answered = None, False

    def ended(self, request_id: str, outcome: Outcome, is_answered: bool, head: bytes) -> None:
        """A request of this thread is over; `head` is its history with the answer."""
        self.open_exchanges = max(0, self.open_exchanges - 1)
        if request_id == self.request_id:
            self.outcome, self.is_answered, self.head = outcome, is_answered, head

    def was_told(self, prompt: Prompt | None, answered: Answered) -> None:
        """The provider said what this prompt used."""
        self.answered_prompt, self.answered = prompt, answered


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
