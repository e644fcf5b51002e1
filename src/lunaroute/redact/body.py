"""A text or a body with what was found in it replaced, and where everything else has moved to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from .encoded import decode, encode_like
from .finder import BASE64, Finder, Finding
from .fragments import split_findings
from .replacement import replacement_of
from .settings import RedactionSettings

_PAIR = re.compile(rb"\\.", re.DOTALL)
_NUMBER = re.compile(rb"[0-9. +-]+")
_BEFORE_NUMBER, _AFTER_NUMBER = b":[,", b",]}"
_BLANKS = b" \t\r\n"


class Edit(msgspec.Struct, frozen=True):
    start: int
    end: int
    replacement: bytes


class Edited(msgspec.Struct, frozen=True):
    data: bytes
    edits: list[Edit]
    """In the order of their places, which are those in the original."""
    counts: Counter[str]
    """Findings by rule."""


class Redactor:
    """One for all texts of a home. Raises ConfigError for settings that cannot be followed."""

    def __init__(self, settings: RedactionSettings) -> None:
        self.settings = settings
        self._finder = Finder(settings)

    def text(self, data: bytes) -> Edited:
        """A text, a JSON document, or anything else that is said at once."""
        return self._edited(data, self._finder.find(data))

    def stream(self, data: bytes) -> Edited:
        """A body of many events: server-sent events, lines or a row of JSON objects. What one event says in part and
        the next goes on with is found too."""
        found = self._finder.find(data)
        split = split_findings(data, self._finder.find, self._replacement)
        return self._edited(data, found, split)

    def _edited(self, data: bytes, found: Sequence[Finding], split: Sequence[Finding] = ()) -> Edited:
        if not found and not split:
            return Edited(data, [], Counter())
        counts: Counter[str] = Counter()
        edits: list[Edit] = []
        for one in _joined(found, split):
            edits.append(self._edit(data, one, counts))
        pieces: list[bytes] = []
        done = 0
        for edit in edits:
            pieces += (data[done : edit.start], edit.replacement)
            done = edit.end
        return Edited(b"".join((*pieces, data[done:])), edits, counts)

    def _edit(self, data: bytes, one: Finding, counts: Counter[str]) -> Edit:
        if one.replacement != b"":  # of what is in pieces, only the first counts
            decoded = decode(one.value) if one.rule == BASE64 else None
            counts.update({one.rule: 1} if decoded is None else self.text(decoded).counts)
        replacement = self._replacement(one) if one.replacement is None else one.replacement
        if _is_bare_number(data, one.start, one.end):
            replacement = b'"' + replacement + b'"' if replacement else b"null"
        return Edit(one.start, one.end, replacement)

    def _replacement(self, one: Finding) -> bytes:
        settings = self.settings
        decoded = decode(one.value) if one.rule == BASE64 else None
        if decoded is not None:
            return encode_like(one.value, self.text(decoded).data)
        return replacement_of(settings.mode, settings.key, one.rule, one.value, self._finder.shown_last(one.rule))


def moved(edits: Sequence[Edit], places: Sequence[int]) -> list[int]:
    """Where places of the original, ascending, are in what was edited: within something replaced, at its end."""
    out: list[int] = []
    shift = number = 0
    for place in places:
        while number < len(edits) and edits[number].end <= place:
            edit = edits[number]
            shift += len(edit.replacement) - (edit.end - edit.start)
            number += 1
        if number < len(edits) and edits[number].start < place:
            out.append(edits[number].start + shift + len(edits[number].replacement))
        else:
            out.append(place + shift)
    return out


def _joined(found: Sequence[Finding], split: Sequence[Finding]) -> list[Finding]:
    """Both, in order. Where they overlap, what was found in pieces is right, and its place covers the other's."""
    if not split:
        return list(found)
    both = sorted([*found, *split], key=lambda one: (one.start, one.replacement is None))
    joined = [both[0]]
    for one in both[1:]:
        last = joined[-1]
        if one.start >= last.end:
            joined.append(one)
            continue
        kept, other = (one, last) if last.replacement is None and one.replacement is not None else (last, one)
        joined[-1] = msgspec.structs.replace(kept, start=last.start, end=max(last.end, other.end, kept.end))
    return joined


def _is_bare_number(data: bytes, start: int, end: int) -> bool:
    """Whether it stands in JSON as a number, so that a text in its place needs quotes."""
    if _NUMBER.fullmatch(data, start, end) is None:
        return False
    before, after = start - 1, end
    while before >= 0 and data[before] in _BLANKS:
        before -= 1
    while after < len(data) and data[after] in _BLANKS:
        after += 1
    if before < 0 and after >= len(data):
        return True
    if before < 0 or after >= len(data) or data[before] not in _BEFORE_NUMBER or data[after] not in _AFTER_NUMBER:
        return False
    line = data[data.rfind(b"\n", 0, start) + 1 : start]
    return _PAIR.sub(b"", line).count(b'"') % 2 == 0
