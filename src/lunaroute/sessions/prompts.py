"""What was sent in a thread as a cache sees it, and how one prompt differs from another."""

from __future__ import annotations

from typing import Literal

import msgspec

Part = Literal["model", "settings", "tools", "system", "messages"]


class Prompt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a request sent, as a cache sees it. The byte strings are the blocks' digests, one after the other."""

    model: str | None
    settings: bytes
    tools: bytes
    system: bytes
    messages: bytes
    is_held: bool = False
    """The provider holds the history; `messages` is only what is new."""


class Difference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first thing that is not as it was before."""

    part: Part
    message_index: int | None = None
    """Of a message; None for the other parts."""
    block_kind: str | None = None
    excerpt: str | None = None
    """The beginning of what stands there now; None where nothing does."""
    bytes_before: int = 0
    """Size of what is unchanged before it."""


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request against an earlier one of its thread."""

    new_bytes: int
    resent_bytes: int
    """The two add up to the size of the body."""
    new_message_count: int
    new_block_count: int
    is_continued: bool
    """The earlier prompt stands unchanged at the beginning of this one."""
    difference: Difference | None = None


class Answered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the provider said of the newest prompt that it answered in a thread."""

    input_tokens: int | None
    cached_tokens: int
    """How much of it the cache held afterwards; 0 = none, or nobody said."""
    ttl_s: int
    """How long the cache keeps it without being asked."""
    ended_wall_ns: int
