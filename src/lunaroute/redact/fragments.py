"""What a stream says in pieces: a text whose beginning is in one event and whose end is in another.

Dialects differ in where they put the pieces, but all put those of one text at the same place of events of the same
kind, with the same indexes beside it. So the texts at each such place are joined over all events, whatever the dialect,
and what is found in a joined text is mapped back to its pieces: the first gets the replacement, the others lose theirs.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from lunaroute.assemble.json_stream import JsonStreamParser

from .finder import Finding
from .unescape import Unescaped

_DATA_LINE = re.compile(rb"(?:^|(?<=[\r\n]))data:[ ]?([^\r\n]*)", re.MULTILINE)
_NEXT_OBJECT = re.compile(rb"\}\s*\{")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
_INDEXES = frozenset(
    {"index", "output_index", "content_index", "summary_index", "contentBlockIndex", "item_id", "thought"}
)
_HOLDING = frozenset({str, dict, list})
_DEEPEST = 32
_BETWEEN = b"\n\x00\n"
_UNREADABLE = b'{"redacted":true}'

_decode = msgspec.json.Decoder().decode
Key = tuple[Any, ...]


class _Piece(msgspec.Struct, gc=False):
    event: int
    number: int
    """The how manieth text of the event."""
    text: bytes


class _Event(msgspec.Struct):
    start: int
    data: bytes


def split_findings(
    body: bytes, find: Callable[[bytes], list[Finding]], replacement: Callable[[Finding], bytes]
) -> list[Finding]:
    """What is found only, or found whole only, when the pieces are joined: a finding for each piece, with its
    replacement."""
    events = list(_events(body))
    if len(events) < 2:
        return []
    texts = [pieces for pieces in _collected(events).values() if len(pieces) > 1]
    joined = _BETWEEN.join(b"".join([piece.text for piece in pieces]) for pieces in texts)
    found = find(joined)
    if not found:
        return []
    starts, pieces = _laid_out(texts)
    out: list[Finding] = []
    for one in found:
        first = bisect_right(starts, one.start) - 1
        last = bisect_right(starts, one.end - 1) - 1
        if first == last:
            continue  # in one piece: found there
        text = replacement(one)
        for number in range(first, last + 1):
            begin = max(0, one.start - starts[number])
            end = min(len(pieces[number].text), one.end - starts[number])
            if begin < end:
                out.append(_placed(events[pieces[number].event], pieces[number], begin, end, one, text))
                text = b""
    return out


def _events(body: bytes) -> Iterator[_Event]:
    """The JSON texts of a body of events, with their places."""
    head = body[:1024].lstrip()
    if not head.startswith((b"{", b"[")):
        yield from _data_lines(body)
        return
    if head.startswith(b"{") and _NEXT_OBJECT.search(body) is None:
        return  # one object: a body that was said at once
    parser = JsonStreamParser()
    place = 0
    for event in [*parser.feed(body, 0), *parser.finish()]:
        place = body.find(event.data, place)
        if place < 0:
            return
        yield _Event(place, event.data)
        place += len(event.data)


def _data_lines(body: bytes) -> Iterator[_Event]:
    """Of server-sent events; their lines end with LF, CR or both."""
    if b"\r" in body:
        for match in _DATA_LINE.finditer(body):
            yield _Event(match.start(1), match[1])
        return
    place = 0
    for line in body.split(b"\n"):
        if line.startswith(b"data:"):
            begin = 6 if line[5:6] == b" " else 5
            yield _Event(place + begin, line[begin:])
        place += len(line) + 1


def _collected(events: list[_Event]) -> dict[Key, list[_Piece]]:
    """The texts of all events by where they stand."""
    by_place: dict[Key, list[_Piece]] = {}
    for number, event in enumerate(events):
        try:
            value = _decode(event.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        kind = value.get("type") if type(value) is dict else None
        texts: list[tuple[Key, str]] = []
        _put_texts(value, (kind if type(kind) is str else None,), 0, texts)
        for count, (key, text) in enumerate(texts):
            piece = _Piece(number, count, text.encode("utf-8", "replace"))
            pieces = by_place.get(key)
            if pieces is None:
                by_place[key] = [piece]
            else:
                pieces.append(piece)
    return by_place


def _put_texts(value: Any, place: Key, depth: int, out: list[tuple[Key, str]]) -> None:
    """Each text in a JSON value with its place, in the order in which they are written."""
    kind = type(value)
    if kind is str:
        out.append((place, value))
    elif depth > _DEEPEST:
        return
    elif kind is dict:
        indexes = value.keys() & _INDEXES
        if indexes:
            place = (*place, *((name, _index(value[name])) for name in sorted(indexes)))
        for name, child in value.items():
            if type(child) in _HOLDING:
                _put_texts(child, (*place, name), depth + 1, out)
    elif kind is list:
        for number, child in enumerate(value):
            if type(child) in _HOLDING:
                _put_texts(child, (*place, number), depth + 1, out)


def _index(value: Any) -> str | int | None:
    return value if isinstance(value, (str, int)) else None


def _laid_out(texts: list[list[_Piece]]) -> tuple[list[int], list[_Piece]]:
    """Where each piece begins in the joined text."""
    starts: list[int] = []
    flat: list[_Piece] = []
    place = 0
    for pieces in texts:
        for piece in pieces:
            starts.append(place)
            flat.append(piece)
            place += len(piece.text)
        place += len(_BETWEEN)
    return starts, flat


def _placed(event: _Event, piece: _Piece, begin: int, end: int, one: Finding, replacement: bytes) -> Finding:
    """The part of a piece that is to go, in the body."""
    values = [match for match in _STRING.finditer(event.data) if match[2] is None]
    if piece.number < len(values):
        view = Unescaped(values[piece.number][1])
        if view.text == piece.text:
            start = event.start + values[piece.number].start(1)
            return Finding(start + view.raw_start(begin), start + view.raw_end(end), one.rule, one.value, replacement)
    # Written in a way that two readers read differently (a name twice): the event goes as a whole.
    return Finding(event.start, event.start + len(event.data), one.rule, one.value, _UNREADABLE)
