"""What providers served, by what a later request may repeat of it: ids, histories and arguments → conversations.

All of it is bounded in number and age, and holds within one scope (provider + credential). Only digests and ids are
kept, never texts.
"""

from __future__ import annotations

from typing import Any

from .index import BoundedIndex, chain_key, id_key
from .places import LinkKind, Place, SentRequest

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_MOST_LINKS = 100_000
_MOST_ANSWERS = 20_000
_MOST_REQUESTS = 5_000
_MOST_ARGUMENTS = 5_000
_MAX_AGE_NS = 30 * _DAY_NS
_MOST_CANDIDATES = 4
"""Conversations that said the very same up to here; more are runs of a test, and the newest are the likely ones."""
_MOST_ALIKE = 16
"""Threads that one sender began alike, of which each may be the one that is tried again."""


def sender_of(user_agent: str, conversation_id: str | None) -> str:
    """Whose requests may repeat each other: one client's, and in the conversation that they say they are of."""
    return user_agent if conversation_id is None else f"{user_agent}\0{conversation_id}"


class ServedIndex:
    """One for all scopes."""

    def __init__(self) -> None:
        self._links: BoundedIndex[Place] = BoundedIndex("l:", Place, _MOST_LINKS, _MAX_AGE_NS)
        self._answers: BoundedIndex[tuple[Place, ...]] = BoundedIndex(
            "a:", tuple[Place, ...], _MOST_ANSWERS, _MAX_AGE_NS
        )
        """Chain of a request and our recorded answer → the threads that were there, oldest first."""
        self._requests: BoundedIndex[tuple[SentRequest, ...]] = BoundedIndex(
            "r:", tuple[SentRequest, ...], _MOST_REQUESTS, _DAY_NS
        )
        """Sender and chain of a request → each thread's newest such, in the order of their ends."""
        self._arguments: BoundedIndex[Place] = BoundedIndex("g:", Place, _MOST_ARGUMENTS, _DAY_NS)
        """String argument of a tool call → the thread that was served it."""

    def linked(self, scope: str, kind: LinkKind, link_id: str) -> Place | None:
        return self._links.get(id_key(scope, kind, link_id))

    def link(self, scope: str, kind: LinkKind, link_id: str, place: Place, wall_ns: int) -> None:
        self._links.put(id_key(scope, kind, link_id), place, wall_ns)

    def answered_at(self, scope: str, chain: bytes) -> tuple[Place, ...]:
        """The threads whose history was this after an answer, oldest first."""
        return self._answers.get(chain_key(scope, "", chain)) or ()

    def answered(self, scope: str, chain: bytes, place: Place, wall_ns: int) -> None:
        others = [one for one in self.answered_at(scope, chain) if one != place]
        self._answers.put(chain_key(scope, "", chain), (*others[1 - _MOST_CANDIDATES :], place), wall_ns)

    def sent(self, scope: str, sender: str, chain: bytes) -> tuple[SentRequest, ...]:
        """The requests of this sender (`sender_of`) with this history, in the order of their ends."""
        return self._requests.get(chain_key(scope, sender, chain)) or ()

    def remember_sent(self, scope: str, sender: str, chain: bytes, request: SentRequest) -> None:
        others = [one for one in self.sent(scope, sender, chain) if one.place != request.place]
        kept = (*others[1 - _MOST_ALIKE :], request)
        self._requests.put(chain_key(scope, sender, chain), kept, request.ended_wall_ns)

    def argued(self, scope: str, text: str) -> Place | None:
        """The thread that was served a tool call with this argument."""
        return self._arguments.get(id_key(scope, text.strip()))

    def remember_argument(self, scope: str, text: str, place: Place, wall_ns: int) -> None:
        self._arguments.put(id_key(scope, text.strip()), place, wall_ns)

    def take_changes(self, put: dict[str, bytes], deleted: set[str]) -> None:
        for index in self._all():
            index.take_changes(put, deleted)

    def restore(self, blobs: dict[str, bytes]) -> None:
        for index in self._all():
            index.restore(blobs)

    def _all(self) -> tuple[BoundedIndex[Any], ...]:
        return self._links, self._answers, self._requests, self._arguments
