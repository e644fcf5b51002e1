"""[pure] A tool call as a person reads it: one line that says what it was about, and the change that an edit made."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

_TELLING = ("command", "cmd", "file_path", "path", "notebook_path", "pattern", "query", "url", "description", "prompt")
"""Arguments that say what a call is about, the most telling first."""
_HEADLINE_CHARS = 160
_OLD = ("old_string", "old_str", "old_text", "old")
_NEW = ("new_string", "new_str", "new_text", "new")
_PATCH = "*** Begin Patch"


class DiffLine(msgspec.Struct, frozen=True):
    kind: Literal["added", "removed", "same", "place"]
    text: str


def headline(arguments: str) -> str:
    """One line; empty where no argument tells."""
    value = _decoded(arguments)
    if not isinstance(value, dict):
        return _line(arguments)
    for name in _TELLING:
        if value.get(name):
            told = value[name]
            return _line(" ".join(map(str, told)) if isinstance(told, list) else str(told))
    short = [f"{name}={one}" for name, one in value.items() if isinstance(one, str | int | float)]
    return _line(" ".join(short))


def pretty(text: str) -> str:
    """JSON on several lines; anything else as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return text


def edit_of(arguments: str) -> list[DiffLine]:
    """What an edit changes, by the arguments that editing tools of today's agents take; empty where it is none."""
    value = _decoded(arguments)
    if not isinstance(value, dict):
        return list(_patch(arguments)) if _PATCH in arguments else []
    texts = [one for one in value.values() if isinstance(one, str) and one.startswith(_PATCH)]
    if texts:
        return list(_patch(texts[0]))
    edits = value.get("edits") if isinstance(value.get("edits"), list) else [value]
    lines: list[DiffLine] = []
    for one in edits:  # type: ignore[union-attr]
        before, after = _either(one, _OLD), _either(one, _NEW)
        if before is not None and after is not None:
            lines += diff_lines(before.splitlines(), after.splitlines())
    return lines


def diff_lines(before: list[str], after: list[str], context: int = 3) -> list[DiffLine]:
    """A unified diff, without its heads."""
    found = []
    for line in list(difflib.unified_diff(before, after, lineterm="", n=context))[2:]:
        kind: Literal["added", "removed", "same", "place"] = "same"
        if line.startswith("@@"):
            kind = "place"
        elif line.startswith("+"):
            kind = "added"
        elif line.startswith("-"):
            kind = "removed"
        found.append(DiffLine(kind, line if kind == "place" else line[1:]))
    return found


def _patch(text: str) -> Iterator[DiffLine]:
    for line in text.splitlines():
        if line.startswith(("***", "@@")):
            yield DiffLine("place", line)
        elif line.startswith("+"):
            yield DiffLine("added", line[1:])
        elif line.startswith("-"):
            yield DiffLine("removed", line[1:])
        else:
            yield DiffLine("same", line[1:])


def _either(value: Any, names: tuple[str, ...]) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in names if isinstance(value.get(name), str)), None)


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line[:_HEADLINE_CHARS] + ("…" if len(line) > _HEADLINE_CHARS else "")
