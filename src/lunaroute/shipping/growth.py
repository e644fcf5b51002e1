"""What session files have got since a sink was last given something, as batches.

In: the folder of sessions, and positions. Out: batches of events, each session's in the order of its file. A file may
be compressed between two looks; the look after goes on in the compressed one. A file that somebody else has rewritten,
so that a line is not where it was, is read from its beginning: `seq` says what is new.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lunaroute.events import Event, decode_event
from lunaroute.events.types import Completed
from lunaroute.sinks.layout import COMPRESSED_SUFFIX, PLAIN_SUFFIX, existing_file, session_files
from lunaroute.sinks.session_file import read_lines_from
from lunaroute.sinks.tail import find_tail
from lunaroute.sinks.zstd import DAMAGE

from .positions import Position, Positions

_BATCH_EVENTS = 5000
"""With a backlog. Stores take time for a batch, however small: 5,000 events go two to four times as fast as 500, and
more are no faster (docs/stores.md)."""
_BATCH_BYTES = 16 << 20
_DAYS_LOOKED_AT = 3


class Batch(msgspec.Struct):
    """Events to hand over, and where that leads to."""

    events: list[Event] = []
    reached: dict[str, Position] = {}
    size_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.events) >= _BATCH_EVENTS or self.size_bytes >= _BATCH_BYTES


class Growth:
    """pass_over() for a sink that is to begin with what comes; then batches()*."""

    def __init__(self, sessions_dir: Path, positions: Positions) -> None:
        self._sessions_dir = sessions_dir
        self._positions = positions
        self._unfinished: set[str] = set()
        """Sessions that may grow, of whatever day."""

    def pass_over(self) -> None:
        """Everything that is there counts as stored. Raises OSError, sqlite3.Error."""
        self._positions.store({session_id: _end_of(path) for session_id, path in session_files(self._sessions_dir)})

    def batches(self, *, of_all_days: bool) -> Iterator[Batch]:
        """What there is. Of all days, or of the last and of those whose sessions were not over. A batch that was taken
        is to be stored before the next is asked for. Raises OSError, sqlite3.Error."""
        batch = Batch()
        for session_id, path in self._files(of_all_days):
            for event, size, position in self._new_of(session_id, path):
                if event is not None:
                    batch.events.append(event)
                batch.reached[session_id] = position
                batch.size_bytes += size
                if batch.is_full:
                    yield batch
                    batch = Batch()
        if batch.reached:
            yield batch

    def _files(self, of_all_days: bool) -> Iterator[tuple[str, Path]]:
        found = dict(session_files(self._sessions_dir)) if of_all_days else self._recent_files()
        for session_id, path in sorted(found.items()):
            at = self._positions.of(session_id)
            if at.is_done:
                self._unfinished.discard(session_id)
                continue
            self._unfinished.add(session_id)
            if path.name.endswith(COMPRESSED_SUFFIX) or _size(path) != at.next_byte:
                yield session_id, path

    def _recent_files(self) -> dict[str, Path]:
        days = sorted(self._sessions_dir.glob("[0-9]*-[0-9]*-[0-9]*"))[-_DAYS_LOOKED_AT:]
        found = {path.name: path for day in days for path in _paths_in(day)}
        recent = {
            name.removesuffix(suffix): path
            for suffix in (COMPRESSED_SUFFIX, PLAIN_SUFFIX)
            for name, path in found.items()
            if name.endswith(suffix)
        }
        older = {
            name: path for name in self._unfinished - recent.keys() if (path := existing_file(self._sessions_dir, name))
        }
        return recent | older

    def _new_of(self, session_id: str, path: Path) -> Iterator[tuple[Event | None, int, Position]]:
        """(event, bytes of its line, position after it) of what is new; without an event, where a line is none."""
        at = self._positions.of(session_id)
        try:
            if at.next_byte and not _begins_with(path, at):
                at = Position(at.next_seq, 0)
            yield from _read(path, at)
        except FileNotFoundError:
            return  # compressed or deleted meanwhile; the next look sees it
        except DAMAGE as error:
            print(f"lunaroute: {path}: compressed data is damaged: {error}", file=sys.stderr, flush=True)


def _read(path: Path, at: Position) -> Iterator[tuple[Event | None, int, Position]]:
    next_seq, next_byte, is_done = at.next_seq, at.next_byte, False
    for size, line in read_lines_from(path, next_byte):
        next_byte += size
        event = _decoded(path, line)
        if event is not None:
            is_new = event.seq >= next_seq
            next_seq = max(next_seq, event.seq + 1)
            is_done = isinstance(event, Completed)
            event = event if is_new else None
        yield event, size, Position(next_seq, next_byte, is_done)
    if path.name.endswith(COMPRESSED_SUFFIX) and not is_done:  # it does not grow any more, whatever its last line is
        yield None, 0, Position(next_seq, next_byte, True)


def _begins_with(path: Path, at: Position) -> bool:
    """Whether the line where the position points to is the one that it means, or the file ends there. In doubt, such as
    in a compressed file whose plain one was encrypted line by line, it does not."""
    for _, line in read_lines_from(path, at.next_byte):
        event = _decoded(path, line)
        return event is not None and event.seq == at.next_seq
    return not path.name.endswith(COMPRESSED_SUFFIX) and _size(path) >= at.next_byte


def _decoded(path: Path, line: bytes) -> Event | None:
    try:
        return decode_event(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        print(f"lunaroute: {path}: a line is no event and was not shipped: {error}", file=sys.stderr, flush=True)
        return None


def _end_of(path: Path) -> Position:
    if path.name.endswith(COMPRESSED_SUFFIX):
        return Position(is_done=True)
    fd = os.open(path, os.O_RDONLY)
    try:
        tail = find_tail(fd)
    finally:
        os.close(fd)
    return Position(tail.last_seq + 1, tail.valid_bytes)


def _paths_in(day: Path) -> list[Path]:
    try:
        with os.scandir(day) as files:
            return [Path(entry.path) for entry in files]
    except FileNotFoundError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
