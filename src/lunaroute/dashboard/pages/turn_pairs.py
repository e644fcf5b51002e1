"""[pure] Two sessions turn by turn: where the same was asked and the same tools were called, turns stand side by side.

In: turns of both in their order. Out: `Pair` values. What one did differently stands beside what the other did at that
place; what only one did stands alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import zip_longest

import msgspec

_KEY_CHARS = 300
_EXCERPT_CHARS = 320


class ComparedTurn(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """From 1."""
    request_id: str
    asked: str
    """What the person said that was new; empty where the request only brought results of tools."""
    answered: str
    tools: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None
    latency_ms: float | None
    cost_usd: float | None
    is_failed: bool

    @property
    def key(self) -> tuple[str, tuple[str, ...], bool]:
        """What makes two turns the same step."""
        return " ".join(self.asked.split())[:_KEY_CHARS], self.tools, self.is_failed


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    left: ComparedTurn | None
    right: ComparedTurn | None
    is_same: bool


def pair_turns(left: Sequence[ComparedTurn], right: Sequence[ComparedTurn]) -> list[Pair]:
    matcher = difflib.SequenceMatcher(None, [one.key for one in left], [one.key for one in right], autojunk=False)
    return [
        Pair(left=one, right=other, is_same=kind == "equal")
        for kind, a, b, c, d in matcher.get_opcodes()
        for one, other in zip_longest(left[a:b], right[c:d])
    ]


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line[:_EXCERPT_CHARS] + ("…" if len(line) > _EXCERPT_CHARS else "")
