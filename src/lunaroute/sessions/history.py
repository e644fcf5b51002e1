"""A request's history as a chain: after each message one value that stands for all messages up to it.

In: the messages of a request or answer. Out: 16-byte values. Two chains meet in a value exactly when the conversations
were the same up to there, so a prefix of any length is found with one look-up per message. Only values are kept, never
texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from lunaroute.dialects.facts import MessageFacts

EMPTY = b""
"""The chain before any message."""


class History(msgspec.Struct, frozen=True):
    """The chain of one request."""

    base: bytes
    """What the provider holds already, where the request goes on from an earlier response; else EMPTY."""
    values: list[bytes]
    """After each message that says something, in order."""

    @property
    def end(self) -> bytes:
        return self.values[-1] if self.values else self.base


def history_of(messages: Sequence[MessageFacts], base: bytes = EMPTY) -> History:
    return History(base, _values(messages, base))


def extended(chain: bytes, messages: Sequence[MessageFacts]) -> bytes:
    """The chain with these messages behind it."""
    values = _values(messages, chain)
    return values[-1] if values else chain


def _values(messages: Sequence[MessageFacts], chain: bytes) -> list[bytes]:
    values: list[bytes] = []
    for message in messages:
        if message.digest is not None:
            chain = blake2b(chain + message.digest, digest_size=16).digest()
            values.append(chain)
    return values
