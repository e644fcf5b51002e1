"""What a bounded map of ids holds by a key."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Value = TypeVar("Value")


class Entry(msgspec.Struct, Generic[Value], frozen=True, array_like=True, gc=False):
    order: int
    wall_ns: int
    value: Value
