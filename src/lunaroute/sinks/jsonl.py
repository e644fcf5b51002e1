"""Session files: every event one line, appended to the one file of its session.

In: batches of events, each session's in `seq` order, possibly again after a crash. Out: files in which `seq` is
0, 1, 2 … without gaps or repetitions, in which each line names the one before it (`events.chain`), and which only ever
grow. The file itself says what it holds: there is no other state to lose.

Somebody may delete or shorten the file of a session that is still open. What comes afterwards is stored all the same,
in a file that then lacks what was taken out of it, and a line on stderr says so; no other session waits for it.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lunaroute.events import Event
from lunaroute.events.types import Completed

from .layout import compressed_path, make_private_dir, plain_path
from .lines import new_events, write_lines
from .replacing import fsync_path
from .syncfs import sync_filesystem
from .tail import NO_TAIL, Tail, find_tail, last_seq_of_compressed

_MAX_OPEN_FILES = 128
_SYNCFS_FROM = 32
"""So many files are synced together: many short sessions a second would otherwise cost an fsync each."""


class _OpenFile:
    """A session's file, open for appending, and the `seq` and link of its last line."""

    __slots__ = ("fd", "last_seq", "link", "path")

    def __init__(self, path: Path, fd: int, tail: Tail) -> None:
        self.path = path
        self.fd = fd
        self.last_seq = tail.last_seq
        self.link = tail.link


class JsonlSink:
    """Sink over the session files below one directory."""

    name = "jsonl"

    def __init__(self, sessions_dir: Path, on_rejected: Callable[[Event, str], None] | None = None) -> None:
        """`on_rejected` is told of each event that has no file to go to; by default a line on stderr says so."""
        self._sessions_dir = sessions_dir
        self._on_rejected = on_rejected or _say_rejected
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()
        self._unsynced: set[Path] = set()

    def open(self) -> None:
        """Create the directory. Raises OSError."""
        make_private_dir(self._sessions_dir)

    def write_batch(self, events: Sequence[Event]) -> None:
        """Append what the files do not have yet, short lines together. Raises OSError when not all could be stored."""
        by_session: dict[str, list[Event]] = {}
        for event in events:
            by_session.setdefault(event.session_id, []).append(event)
        for session_id, group in by_session.items():
            self._append(session_id, group)

    def sync(self) -> None:
        """Make every file and directory touched since the last time survive a power loss. Raises OSError."""
        if len(self._unsynced) >= _SYNCFS_FROM and sync_filesystem(self._sessions_dir):
            self._unsynced.clear()
            return
        for path in sorted(self._unsynced):
            _fsync(path)
            self._unsynced.discard(path)

    def close(self) -> None:
        """Close all files."""
        while self._files:
            os.close(self._files.popitem()[1].fd)

    def _append(self, session_id: str, events: list[Event]) -> None:
        file = self._known_file(session_id) or self._present_file(session_id)
        if file is None:
            compressed = compressed_path(self._sessions_dir, session_id)
            if compressed.exists():
                self._reject_unknown(events, compressed)
                return
            file = self._new_file(session_id)
        new, missing = new_events(events, file.last_seq)
        for first, last in missing:
            lost = f"{file.path} lost events {first} to {last} while its session was open"
            _say(f"{lost}; it goes on with event {last + 1}")
        if not new:
            return
        try:
            self._unsynced.add(file.path)
            link = write_lines(file.fd, new, file.link)
        except BaseException:
            # The file may end in a torn line now; opening it again repairs it.
            self._forget(session_id)
            raise
        file.last_seq, file.link = new[-1].seq, link
        if isinstance(new[-1], Completed):
            # The file may be compressed and removed from now on; a descriptor kept would write into nothing.
            self._forget(session_id)

    def _known_file(self, session_id: str) -> _OpenFile | None:
        file = self._files.get(session_id)
        if file is None:
            return None
        if os.fstat(file.fd).st_nlink == 0:  # deleted under our hands: what is written into it nobody would ever see
            self._forget(session_id)
            return None
        self._files.move_to_end(session_id)
        return file

    def _reject_unknown(self, events: list[Event], compressed: Path) -> None:
        """A compressed session is over; a second file beside it would split it in two."""
        last_seq = last_seq_of_compressed(compressed)
        for event in events:
            if event.seq > last_seq:
                self._on_rejected(event, f"{compressed.name} is compressed and ends with event {last_seq}")

    def _present_file(self, session_id: str) -> _OpenFile | None:
        """The session's file, opened; None where there is none. At a stop each open session's is, so nothing is asked
        of the folder that opening does not tell."""
        path = plain_path(self._sessions_dir, session_id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            tail = _repair(fd)
        except BaseException:
            os.close(fd)
            raise
        return self._keep(session_id, _OpenFile(path, fd, tail))

    def _new_file(self, session_id: str) -> _OpenFile:
        path = plain_path(self._sessions_dir, session_id)
        if not path.parent.is_dir():
            make_private_dir(path.parent)
            self._unsynced.add(self._sessions_dir)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._unsynced.add(path.parent)
        return self._keep(session_id, _OpenFile(path, fd, NO_TAIL))

    def _keep(self, session_id: str, file: _OpenFile) -> _OpenFile:
        if len(self._files) >= _MAX_OPEN_FILES:
            os.close(self._files.popitem(last=False)[1].fd)
        self._files[session_id] = file
        return file

    def _forget(self, session_id: str) -> None:
        os.close(self._files.pop(session_id).fd)


def _repair(fd: int) -> Tail:
    """Cut off a torn tail; what the last line is then."""
    tail = find_tail(fd)
    if tail.valid_bytes < os.fstat(fd).st_size:
        os.ftruncate(fd, tail.valid_bytes)
    return tail


def _fsync(path: Path) -> None:
    with suppress(FileNotFoundError):  # compressed or pruned in the meantime: no longer ours to keep
        fsync_path(path)


def _say_rejected(event: Event, reason: str) -> None:
    _say(f"not stored: {event.session_id} {event.seq}: {reason}")


def _say(line: str) -> None:
    print(f"lunaroute: {line}", file=sys.stderr, flush=True)
