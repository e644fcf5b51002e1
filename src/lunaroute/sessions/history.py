"""A request's history as a chain: after each message one value that stands for all messages up to it.

In: the messages of a request or answer. Out: 16-byte values (`dialects.marks`). Two chains meet in a value exactly when
the conversations were the same up to there, so a beginning of any length is found with one look-up per message. Only
values are kept, never texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lunaroute.dialects.facts import MessageFacts
from lunaroute.dialects.marks import linked

EMPTY = b""
"""The chain before any message."""


class History(msgspec.Struct, frozen=True, gc=False):
    """The chain of one request."""

    base: bytes
    """What the provider holds already, where the request goes on from an earlier response; else EMPTY."""
    values: list[bytes]
    """After each message, in order; one that says nothing has the value of the one before."""

    @property
    def end(self) -> bytes:
        return self.values[-1] if self.values else self.base


def history_of(messages: Sequence[MessageFacts], chain: list[bytes], base: bytes = EMPTY) -> History:
    """`chain` is that of the messages by themselves."""
    if base == EMPTY:
        return History(base, chain)
    values: list[bytes] = []
    for message in messages:
        values.append(linked(values[-1] if values else base, message))
    return History(base, values)


def extended(chain: bytes, messages: Sequence[MessageFacts]) -> bytes:
    """The chain with these messages behind it."""
    for message in messages:
        chain = linked(chain, message)
    return chain
