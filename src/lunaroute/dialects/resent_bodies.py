"""Bodies that were read, of which the next may have a part."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from lunaroute.dialects.facts import Marks, MessageFacts

Outline = TypeVar("Outline", bound=msgspec.Struct)


class ReadBody(msgspec.Struct, Generic[Outline], eq=False):
    """A body, and what was read out of it."""

    body: bytes
    head: bytes
    """Up to and with the bracket that opens the list of messages."""
    tail: bytes
    """From the end of the last message on."""
    outline: Outline
    ends: list[int]
    """Index after each message."""
    messages: list[MessageFacts]
    marks: Marks
    shared_count: int
    """Messages that were known."""


class ReadMessages(msgspec.Struct, Generic[Outline], frozen=True):
    outline: Outline
    """The body's fields; of the list of messages only what was not known."""
    messages: list[MessageFacts]
    marks: Marks
    is_portable: bool
    """The body is known to be portable (`portable`); False means only that nobody looked."""
