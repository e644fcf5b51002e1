"""[pure] What a request has that the one before had not: two bodies in, the parts that differ out.

Agents send their whole history again, so a line-by-line diff of two bodies would be long and say little. Compared are
the parts: settings by name, messages by place. Only parts that differ are shown line by line.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .tool_view import DiffLine, diff_lines

Change = Literal["same", "changed", "added", "removed"]

_LISTS = ("messages", "input", "contents")
_MOST_LINES = 400


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, or a message."""

    name: str
    change: Change
    lines: list[DiffLine]


class BodyDiff(msgspec.Struct, frozen=True, kw_only=True):
    parts: list[Part]
    """Those that differ."""
    same_messages: int
    """Messages that are at the beginning of both."""
    same_settings: list[str]


def diff_bodies(before: bytes, after: bytes) -> BodyDiff | None:
    """None where one of them is no JSON object."""
    old, new = _object(before), _object(after)
    if old is None or new is None:
        return None
    parts, same_settings = [], []
    for name in dict.fromkeys((*old, *new)):
        if name in _LISTS and isinstance(old.get(name), list) and isinstance(new.get(name), list):
            continue
        if old.get(name) == new.get(name) and (name in old) == (name in new):
            same_settings.append(name)
        else:
            parts.append(_part(name, old.get(name), new.get(name), name in old, name in new))
    same, messages = _messages(old, new)
    return BodyDiff(parts=[*parts, *messages], same_messages=same, same_settings=same_settings)


def _messages(old: dict[str, Any], new: dict[str, Any]) -> tuple[int, list[Part]]:
    name = next((one for one in _LISTS if isinstance(old.get(one), list) and isinstance(new.get(one), list)), None)
    if name is None:
        return 0, []
    before, after = old[name], new[name]
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    parts = []
    for at in range(same, max(len(before), len(after))):
        has_old, has_new = at < len(before), at < len(after)
        one, other = (before[at] if has_old else None), (after[at] if has_new else None)
        if one != other or has_old != has_new:
            parts.append(_part(f"{name}[{at}]{_role(other or one)}", one, other, has_old, has_new))
    return same, parts


def _part(name: str, one: Any, other: Any, has_old: bool, has_new: bool) -> Part:
    change: Change = "changed" if has_old and has_new else "added" if has_new else "removed"
    lines = diff_lines(_lines(one) if has_old else [], _lines(other) if has_new else [])
    if len(lines) > _MOST_LINES:
        rest = len(lines) - _MOST_LINES
        lines = [*lines[:_MOST_LINES], DiffLine("place", f"… {rest:,} more lines")]
    return Part(name=name, change=change, lines=lines)


def _lines(value: Any) -> list[str]:
    # Texts of several lines are compared by their lines.
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text.replace("\\n", "\n").splitlines()


def _role(message: Any) -> str:
    if not isinstance(message, dict):
        return ""
    told = message.get("role") or message.get("type")
    return f" · {told}" if isinstance(told, str) else ""


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return value if isinstance(value, dict) else None
