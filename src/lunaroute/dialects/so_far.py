"""A stream that is still open, as far as it came: what a live view shows of it.

In: what a stream reader has folded so far. Out: its parts, each a list of texts that only ever gets longer, so that
whoever looks again needs only what was added since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from lunaroute.dialects.facts import Usage

PartKind = Literal["text", "thinking", "tool_call"]


class Part(msgspec.Struct, frozen=True):
    """A text of the answer, of its thinking, or the arguments of a tool call."""

    key: str
    """The same part has the same key each time."""
    kind: PartKind
    name: str | None
    """Of the tool, once it is known."""
    pieces: Sequence[str]
    """As they arrived; only appended to. Halves of a surrogate pair may stand in two of them."""


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream amounts to until now."""

    model: str | None = None
    usage: Usage | None = None
    """As far as the provider has said it; most say output tokens only at the end."""
    parts: Sequence[Part] = ()
    """In the order in which they began."""


NOTHING = SoFar()
