"""What a body has in common with an earlier one, so that a re-sent history is read once.

Clients send the whole conversation with every request: of 400 KB, a few are new. Bodies read lately are kept with
where each of their messages ends. The messages that a new body shares with one of them, byte for byte, are known;
only the rest is decoded, put behind what stood before the list. Whether a body was found here changes nothing but the
time it takes: equal bytes up to the end of a message leave a JSON reader in the same state.

In: the body, and how its dialect reads the outline and a message. Out: the outline and the messages' facts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic

import msgspec

from lunaroute.dialects.facts import Marks, MessageFacts
from lunaroute.dialects.loose import opening_of, read_object
from lunaroute.dialects.marks import NO_MARKS, first_of, marked
from lunaroute.dialects.portable import is_portable_text
from lunaroute.dialects.turn import read_each

from .resent_bodies import Outline, ReadBody, ReadMessages

_SMALLEST_BYTES = 8192
"""Below this, decoding costs no more than comparing."""
_MOST_SMALL_MESSAGES = 1024
_MOST_BODIES = 64
_MOST_BYTES = 24 << 20
_PROBE_BYTES = 64
_PROBES = 8
_PIECE_BYTES = 65536
_MOVING_MESSAGES = 3
"""So many at the end of a body may differ in the next: clients move cache markers about there."""
_AS_OBJECT = b'{"":[0'
"""In front of what follows the last message, it makes that a JSON object."""
_BLANKS = (b" ", b"\n", b"\t", b"\r")

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class ResentReader(Generic[Outline]):
    """One per dialect. `field` is the name of the list of messages in the body."""

    def __init__(
        self, decoder: msgspec.json.Decoder[Outline], field: str, read_message: Callable[[msgspec.Raw], MessageFacts]
    ) -> None:
        self._decoder = decoder
        self._field = field
        self._read_message = read_message
        self._read_small = lru_cache(maxsize=_MOST_SMALL_MESSAGES)(lambda json: read_message(msgspec.Raw(json)))
        """The same for messages of small bodies, which mostly come again as well."""
        self._bodies: list[ReadBody[Outline]] = []
        """Those used last come last."""
        self._kept_bytes = 0

    def read(self, body: bytes) -> ReadMessages[Outline] | None:
        """None when the body is no JSON object."""
        if len(body) < _SMALLEST_BYTES:
            return self._read_whole(body)
        earlier = self._likeliest(body)
        found = None if earlier is None else self._read_rest(body, earlier)
        if found is None:
            found = self._read_first(body)
        if found is None:
            return self._read_whole(body)
        self._keep(found, earlier)
        return ReadMessages(found.outline, found.messages, found.marks, is_portable=True)

    def _read_whole(self, body: bytes) -> ReadMessages[Outline] | None:
        outline = read_object(body, self._decoder)
        if outline is None:
            return None
        is_small = len(body) < _SMALLEST_BYTES
        read = (lambda raw: self._read_small(bytes(raw))) if is_small else self._read_message
        messages = read_each(getattr(outline, self._field), read)
        return ReadMessages(outline, messages, marked(messages), is_portable=False)

    def _read_first(self, body: bytes) -> ReadBody[Outline] | None:
        """A body without a like; None where it is not laid out so that its messages can be found again."""
        start = _list_start(body, self._field)
        if start is None or not is_portable_text(body):
            return None
        found = self._read_from(body, start, body[:start], None, 0)
        return None if found is None or self._comes_again(found.tail) else found

    def _read_rest(self, body: bytes, earlier: ReadBody[Outline]) -> ReadBody[Outline] | None:
        """A body that begins like an earlier one: only what follows the last message in common."""
        known = bisect_right(earlier.ends, _common_length(body, earlier.body) - 1)
        while known and body[earlier.ends[known - 1] : earlier.ends[known - 1] + 1] != b",":
            known -= 1
        if not known:
            return None
        start = earlier.ends[known - 1] + 1
        found = self._read_from(body, start, earlier.head, earlier, known)
        if found is None or not is_portable_text(b"[%b]" % body[start : found.ends[-1]]):
            return None
        is_known = found.tail == earlier.tail
        is_good = is_known or (is_portable_text(_AS_OBJECT + found.tail) and not self._comes_again(found.tail))
        return found if is_good else None

    def _comes_again(self, tail: bytes) -> bool:
        """Whether the list is named twice: of two fields of one name the last counts, and this is the first."""
        return self._field in _fields_decoder.decode(_AS_OBJECT + tail)

    def _read_from(
        self, body: bytes, start: int, head: bytes, earlier: ReadBody[Outline] | None, known: int
    ) -> ReadBody[Outline] | None:
        """The body from `body[start]` on, which is inside the list; before come so many messages of the earlier one."""
        try:
            outline = self._decoder.decode(head + body[start:])
            raws = _items_decoder.decode(getattr(outline, self._field))
        except (ValueError, RecursionError):
            return None
        new_ends = _ends(body, start, raws)
        if new_ends is None:
            return None
        new = [self._read_message(raw) for raw in raws]
        ends, messages, before = ([], [], NO_MARKS) if earlier is None else _first_of(earlier, known)
        ends += new_ends
        marks = marked(new, before)
        return ReadBody(body, head, body[ends[-1] :], outline, ends, messages + new, marks, known)

    def _likeliest(self, body: bytes) -> ReadBody[Outline] | None:
        """The kept body that shares most with this one, as far as a few probes tell."""
        best, best_score = None, 0
        for kept in reversed(self._bodies):
            score = _likeness(body, kept.body)
            if score > best_score:
                best, best_score = kept, score
                if score == _PROBES:
                    break
        return best

    def _keep(self, found: ReadBody[Outline], earlier: ReadBody[Outline] | None) -> None:
        """A conversation needs only its latest body: it replaces the one that it goes on from."""
        if earlier is not None and found.shared_count >= max(1, len(earlier.ends) - _MOVING_MESSAGES):
            self._bodies.remove(earlier)
            self._kept_bytes -= len(earlier.body)
        self._bodies.append(found)
        self._kept_bytes += len(found.body)
        while len(self._bodies) > _MOST_BODIES or self._kept_bytes > _MOST_BYTES:
            self._kept_bytes -= len(self._bodies.pop(0).body)


def _first_of(earlier: ReadBody[Any], known: int) -> tuple[list[int], list[MessageFacts], Marks]:
    return earlier.ends[:known], earlier.messages[:known], first_of(earlier.marks, known)


def _likeness(body: bytes, kept: bytes) -> int:
    """How many probes in a row, spread over the kept body, are equal."""
    step = max(1, (len(kept) - _PROBE_BYTES) // _PROBES)
    for number in range(_PROBES):
        at = number * step
        if body[at : at + _PROBE_BYTES] != kept[at : at + _PROBE_BYTES]:
            return number
    return _PROBES


def _common_length(one: bytes, other: bytes) -> int:
    """How many first bytes are equal."""
    most = min(len(one), len(other))
    at = 0
    while at < most and one[at : at + _PIECE_BYTES] == other[at : at + _PIECE_BYTES]:
        at += _PIECE_BYTES
    low, high = min(at, most), min(at + _PIECE_BYTES, most)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _list_start(body: bytes, field: str) -> int | None:
    """Index after the bracket that opens the list; None where the body's fields cannot be followed by their lengths
    (a name written with escapes) or the field is no list."""
    try:
        fields: dict[str, Any] = _fields_decoder.decode(body)
    except (ValueError, RecursionError):
        return None
    at = _skip_blanks(body, 0) + 1
    for name, raw in fields.items():
        at = _skip_blanks(body, at)
        key = b'"%b"' % name.encode()
        if body[at : at + len(key)] != key:
            return None
        at = _skip_blanks(body, at + len(key)) + 1  # the colon
        at = _skip_blanks(body, at)
        if name == field:
            return at + 1 if body[at : at + 1] == b"[" else None
        at = _skip_blanks(body, at + len(memoryview(raw))) + 1  # the comma
    return None


def _ends(body: bytes, start: int, raws: list[msgspec.Raw]) -> list[int] | None:
    """Where each message ends; None where there are none, or not only objects."""
    if not raws or any(opening_of(raw) != b"{" for raw in raws):
        return None
    ends = []
    at = start
    for raw in raws:
        ends.append(_skip_blanks(body, at) + len(memoryview(raw)))
        at = _skip_blanks(body, ends[-1]) + 1  # the comma
    # Behind the last message the list ends, if all was as expected.
    return ends if body[at - 1 : at] == b"]" else None


def _skip_blanks(body: bytes, at: int) -> int:
    while body[at : at + 1] in _BLANKS:
        at += 1
    return at
