"""[pure] Long lists, a page at a time, by key: the next page is found as fast as the first, however far down, and
rows that are recorded in the meantime neither repeat nor hide any.

A cursor is opaque to callers: where the page ended, as JSON in URL-safe base64.
"""

from __future__ import annotations

import base64
from typing import Any, Generic, TypeVar

import msgspec

from lunaroute.errors import FilterError

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    items: list[T]
    next: str | None
    """What to hand over as `after` for the page that follows; None = there is none."""


def make_page(rows: list[T], limit: int | None, keys: list[tuple[Any, ...]]) -> Page[T]:
    """The page of at most `limit` rows; one more was asked for, and says whether there are more. `keys[n]` is where
    row n stands."""
    if limit is None or len(rows) <= limit:
        return Page(items=rows, next=None)
    return Page(items=rows[:limit], next=_encode(keys[limit - 1]))


def read_cursor(after: str, kinds: type[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Where the earlier page ended. Raises FilterError."""
    try:
        found: tuple[Any, ...] = msgspec.json.decode(base64.urlsafe_b64decode(after), type=kinds)
    except ValueError:
        raise FilterError(f"{after[:40]!r} is no place to go on from") from None
    return found


def _encode(key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode("ascii")
