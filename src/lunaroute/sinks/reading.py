"""Many session files read one after the other, in parts that can be read again.

In: the files. Out: their events, each gone before the next one is made: bodies of megabytes are normal, and what is no
longer in the processor's caches has to be fetched. So nothing of a part is kept for the case that it cannot be stored
as it is; it is read again then.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import cast

from lunaroute.encryption.lines import is_sealed, open_line
from lunaroute.events.types import Event, RequestRecorded, ResponseRecorded, ToolCallRecorded

from .line_buffer import LineBuffer
from .session_file import BadLine, events_in, opened


class Reading:
    """Where it stands."""

    def __init__(
        self,
        files: list[tuple[str, Path]],
        on_bad: Callable[[BadLine], None],
        on_foreign: Callable[[Event, Path], None],
        on_progress: Callable[[int, int], None],
    ) -> None:
        """`files` are (session_id, path); `on_foreign` is told of events of other sessions, which are left out, and
        `on_progress` (files done, files in all)."""
        self.files = files
        self.is_done = False
        self.failure: BaseException | None = None
        """What reading ended with. Whoever goes through the events may take it for a fault of theirs."""
        self.file_number = 0
        self.number_in_file = 0
        """Of the events of the file that were read, those of other sessions among them."""
        self.event_count = 0
        """Of all files."""
        self._on_bad = on_bad
        self._on_foreign = on_foreign
        self._on_progress = on_progress
        self.events = self._read()
        """Those that were not read yet. To be closed."""

    def _read(self) -> Generator[Event, None, None]:
        lines = LineBuffer()
        try:
            for file_number, (session_id, path) in enumerate(self.files):
                self._on_progress(file_number, len(self.files))
                self.file_number, self.number_in_file = file_number, 0
                for event in events_in(_lines_of(path, lines), path, self._on_bad):
                    self.number_in_file += 1
                    if event.session_id == session_id:
                        self.event_count += 1
                        yield event
                    else:
                        self._on_foreign(event, path)
            self._on_progress(len(self.files), len(self.files))
        except BaseException as error:
            self.failure = error
            raise
        self.is_done = True


class Part:
    """The next events: the first time it is gone through they are read, and whenever it is again, those that were."""

    def __init__(self, reading: Reading, most_events: int, most_chars: int) -> None:
        """It ends behind the event with which it has so many, or so much text, which is what is kept of them."""
        self._reading = reading
        self._most_events = most_events
        self._most_chars = most_chars
        self._first_file, self._first_number = reading.file_number, reading.number_in_file
        self._is_read = False

    def __iter__(self) -> Iterator[Event]:
        if self._is_read:
            return self._again()
        self._is_read = True
        return self._further()

    def _further(self) -> Iterator[Event]:
        events_left, chars_left = self._most_events, self._most_chars
        for event in self._reading.events:
            events_left -= 1
            chars_left -= _text_chars(event)
            yield event
            if events_left <= 0 or chars_left <= 0:
                return

    def _again(self) -> Iterator[Event]:
        reading, lines = self._reading, LineBuffer()
        for file_number in range(self._first_file, reading.file_number + 1):
            session_id, path = reading.files[file_number]
            skipped = self._first_number if file_number == self._first_file else 0
            for number, event in enumerate(events_in(_lines_of(path, lines), path, _ignore)):
                if file_number == reading.file_number and number == reading.number_in_file:
                    break
                if number >= skipped and event.session_id == session_id:
                    yield event


def _lines_of(path: Path, lines: LineBuffer) -> Iterator[bytes | memoryview]:
    """As `session_file.read_lines`, but that a line is gone when the next one is wanted."""
    with opened(path, buffer_bytes=0) as file:
        for line in lines.lines_of(cast(io.RawIOBase, file)):
            yield open_line(bytes(line)) if is_sealed(line) else line


def _text_chars(event: Event) -> int:
    if isinstance(event, RequestRecorded):
        return len(event.request_text)
    if isinstance(event, ResponseRecorded):
        return len(event.response_text) + sum([len(call.arguments) for call in event.stats.tool_calls])
    if isinstance(event, ToolCallRecorded):
        return len(event.output_text)
    return 0


def _ignore(_bad: BadLine) -> None:
    """It was told of before."""
