"""Events of all sessions in the order in which they were recorded, from any position on.

In: the feed (`sinks.feed`) and the session files. Out: events with their positions, each once. Events whose session was
deleted are left out.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.events import Event, decode_event
from lunaroute.events.types import Started
from lunaroute.sinks.feed import Entry, entries, segments
from lunaroute.sinks.layout import PLAIN_SUFFIX, existing_file
from lunaroute.sinks.session_file import read_lines, read_lines_from
from lunaroute.sinks.zstd import DAMAGE

from .event_filter import EventFilter
from .follow import lines_backwards

_SEQ = re.compile(rb'"seq":(\d+),"schema":\d+(?:,"prev":(?:null|"[^"]*"))?\}\Z')
_TAIL_BYTES = 400
_KIND = re.compile(rb'\{"type":"(\w+)"')
_PLACES_KEPT = 512
_BEGINNINGS_KEPT = 512
_ID = re.compile(r"([0-9a-f]{16})-(\d{1,15})")


class Cursor(msgspec.Struct, frozen=True):
    """How far a watcher got: the position of the event that it saw last."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"


def read_cursor(text: str) -> Cursor | None:
    """A cursor as it was given out; None for anything else."""
    found = _ID.fullmatch(text.strip())
    return None if found is None else Cursor(found[1], int(found[2]))


class Extent(msgspec.Struct, frozen=True):
    """Which positions there are."""

    epoch: str
    """Empty = there is no feed yet."""
    first: int
    end: int
    """One more than the last."""

    def start_after(self, cursor: Cursor | None) -> tuple[int, bool]:
        """(where a watcher that got this far goes on, whether it misses something: what it saw last is of another
        feed, or so old that it is no longer there). None = it wants what comes from now on."""
        if cursor is None:
            return self.end, False
        if cursor.epoch != self.epoch:
            return self.first, True
        start = cursor.position + 1
        return (start, False) if self.first <= start <= self.end else (self.first, True)


class FedEvent:
    """An event and its position."""

    __slots__ = ("_event", "line", "position", "session_id")

    def __init__(self, position: int, session_id: str, line: bytes) -> None:
        self.position = position
        self.session_id = session_id
        self.line = line
        """As it stands in the file."""
        self._event: Event | None = None

    @property
    def kind(self) -> str:
        """Its type; empty for a line that is no event."""
        found = _KIND.match(self.line)
        return "" if found is None else found[1].decode()

    @property
    def event(self) -> Event:
        """Raises ValueError or RecursionError for a line that is none."""
        if self._event is None:
            self._event = decode_event(self.line)
        return self._event


class Feed:
    """For any number of watchers, in one thread at a time."""

    def __init__(self, feed_dir: Path, sessions_dir: Path) -> None:
        self._feed_dir = feed_dir
        self._sessions_dir = sessions_dir
        self._places: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Session → (seq of its line there, byte of the plain file), for those read last."""
        self._beginnings: OrderedDict[str, Started] = OrderedDict()

    def extent(self) -> Extent:
        """Which positions there are now. Raises OSError."""
        present = segments(self._feed_dir)
        return Extent(present[0].epoch, present[0].first, present[-1].end) if present else Extent("", 0, 0)

    def read(self, start: int, limit: int) -> tuple[list[FedEvent], int]:
        """The events of the next `limit` positions from `start` on, and the position to go on from. Raises OSError."""
        found: list[Entry] = []
        for segment in segments(self._feed_dir):
            if segment.end > start and len(found) < limit:
                found += entries(segment, max(start, segment.first), limit - len(found))
        end = found[-1].position + 1 if found else start
        return sorted(self._read_lines(found), key=lambda event: event.position), end

    def matches(self, wanted: EventFilter, event: FedEvent) -> bool:
        """Whether a watcher wants it. A line that is no event matches nothing but a filter without terms."""
        if wanted.is_everything:
            return True
        try:
            return wanted.matches(event.event, self.beginning(event.session_id))
        except (ValueError, RecursionError):
            return False

    def beginning(self, session_id: str) -> Started | None:
        """The session's first event; None = nobody knows it."""
        known = self._beginnings.get(session_id)
        if known is None and (known := self._first_event(session_id)) is not None:
            self._beginnings[session_id] = known
            while len(self._beginnings) > _BEGINNINGS_KEPT:
                self._beginnings.popitem(last=False)
        return known

    def _read_lines(self, wanted: Sequence[Entry]) -> Iterator[FedEvent]:
        """Each session's file is opened once."""
        by_session: dict[str, dict[int, int]] = {}
        for entry in wanted:
            by_session.setdefault(entry.session_id, {})[entry.seq] = entry.position
        for session_id, positions in by_session.items():
            with suppress(FileNotFoundError, *DAMAGE):
                yield from self._lines_of(session_id, positions)

    def _lines_of(self, session_id: str, positions: dict[int, int]) -> Iterator[FedEvent]:
        path = existing_file(self._sessions_dir, session_id)
        if path is None:
            return
        first, last = min(positions), max(positions)
        seq, place = self._place(session_id, path, first)
        for line in read_lines_from(path, place):
            place += len(line)
            seq = seq_of(line[:-1]) if line.endswith(b"}\n") else seq
            if seq in positions:
                yield FedEvent(positions[seq], session_id, line[:-1])
            if seq >= last:
                break
        self._places[session_id] = (seq + 1, place)
        self._places.move_to_end(session_id)
        while len(self._places) > _PLACES_KEPT:
            self._places.popitem(last=False)

    def _place(self, session_id: str, path: Path, seq: int) -> tuple[int, int]:
        """(a seq not above `seq`, the byte where its line begins)."""
        known = self._places.get(session_id)
        if known is not None and known[0] <= seq:
            return known
        if seq and path.name.endswith(PLAIN_SUFFIX):
            # What is asked for is mostly at the end.
            for end, line in lines_backwards(path):
                before = seq_of(line)
                if before < seq:
                    return before + 1, end
        return 0, 0

    def _first_event(self, session_id: str) -> Started | None:
        path = existing_file(self._sessions_dir, session_id)
        try:
            event = None if path is None else decode_event(next(read_lines(path), b""))
        except (OSError, ValueError, RecursionError, *DAMAGE):
            return None
        return event if isinstance(event, Started) else None


def seq_of(line: bytes) -> int:
    """The `seq` of a line, which stands at its end; -1 for a line that is no event."""
    found = _SEQ.search(line[-_TAIL_BYTES:])
    if found is not None:
        return int(found[1])
    try:
        return decode_event(line).seq
    except (ValueError, RecursionError):
        return -1
