"""[io] Dead letters tried again: `lunaroute retry`.

In: the letters of a home. Out: exchanges that this program can read, read, each in its place in its session's file; an
index made anew from the files; and the letters of what is now as it should be taken away. Letters go last, and doing it
twice changes nothing more, so whoever dies on the way has lost nothing. Sessions that are not over are the recorder's,
and wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.events import Event, encode_event
from lunaroute.events.types import Completed
from lunaroute.pricing import Pricer
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.relinking import relinked
from lunaroute.sinks.replacing import identity, put_in_place
from lunaroute.sinks.session_file import BadLine, SessionFileWriter, read_events, read_lines
from lunaroute.sinks.sqlite.store import open_live

from .dead_letter import DeadLetters
from .rereading import ExchangeHead, read_again

_SESSION_OF = "SELECT session_id FROM session_stats WHERE request_id = ?"

Progress = Callable[[int, int], None]


class RetryReport(msgspec.Struct, kw_only=True):
    """By the names of the letters."""

    done: list[str] = []
    left: dict[str, str] = {}
    """Why it is still a dead letter."""


def retry(
    sessions_dir: Path,
    database: Path,
    letters: DeadLetters,
    pricer: Pricer,
    *,
    only: Collection[str] | None = None,
    on_progress: Progress | None = None,
) -> RetryReport:
    """Try the letters again, or those of `only`. Raises LunarouteError when somebody else is at it, OSError,
    sqlite3.Error."""
    report = RetryReport()
    tried = {name: letter for name, letter in letters.read() if only is None or name in only}
    events: dict[str, Event] = {}
    done: list[str] = []
    for name, letter in tried.items():
        try:
            if letter.exchange is not None:
                _read_in_place(sessions_dir, database, letter.exchange, pricer)
                done.append(name)
            elif letter.event is not None and not letter.sink:
                _check_stored(sessions_dir, letter.event)
                events[name] = letter.event
            else:
                report.left[name] = letter.reason
        except LunarouteError as error:
            report.left[name] = str(error)
    if done or events:
        rejected = reindex(sessions_dir, database, on_progress).rejected
        for name, event in events.items():
            reason = next((one for one in rejected if one.startswith(f"{event.session_id} {event.seq}: ")), None)
            if reason is None:
                done.append(name)
            else:
                report.left[name] = "sqlite: " + reason.partition(": ")[2]
    for name in done:
        letters.remove(name)
    report.done = done
    return report


def _read_in_place(sessions_dir: Path, database: Path, head: ExchangeHead, pricer: Pricer) -> None:
    """Put what it says into its session's file. Raises LunarouteError with the reason where that cannot be."""
    path = _file_of(sessions_dir, database, head.opened.request_id)
    with rewriting_alone(sessions_dir):
        before = identity(path)
        old = _whole(path)
        try:
            new = read_again(old, head, pricer)
        except Exception as error:  # whatever it broke then, it may break now
            raise LunarouteError(f"{type(error).__name__}: {error}") from error
        pairs = ((encode_event(event), event, was) for event, was in zip(new, old, strict=True) if event is not was)
        changed = {event.seq: line for line, event, was in pairs if line != encode_event(was)}
        if changed:
            _rewrite(path, before, changed)


def _file_of(sessions_dir: Path, database: Path, request_id: str) -> Path:
    with closing(open_live(database)) as index:
        found = index.execute(_SESSION_OF, (request_id,)).fetchone()
    path = None if found is None else existing_file(sessions_dir, found[0])
    if path is None:
        raise LunarouteError("its session is not here; after `lunaroute reindex` it may be found")
    return path


def _whole(path: Path) -> list[Event]:
    """The events of a finished session; the number of each is its `seq`. Raises LunarouteError."""
    bad: list[BadLine] = []
    events = list(read_events(path, bad.append))
    if bad:
        raise LunarouteError(str(bad[0]))
    if not events or not isinstance(events[-1], Completed):
        raise LunarouteError("its session is not over; `lunaroute sessions end` ends it")
    if [event.seq for event in events] != list(range(len(events))):
        raise LunarouteError(f"{path} lacks events")
    return events


def _rewrite(path: Path, before: tuple[int, int, int], changed: dict[int, bytes]) -> None:
    aside = path.with_name(f"{path.name}.retried")
    try:
        with SessionFileWriter(aside) as writer:
            for line in relinked(read_lines(path), changed.get):
                writer.write(line)
        put_in_place(aside, path, before)
    finally:
        aside.unlink(missing_ok=True)


def _check_stored(sessions_dir: Path, event: Event) -> None:
    """Raises LunarouteError where the event is in no file, so that no index can be made of it."""
    path = existing_file(sessions_dir, event.session_id)
    bad: list[BadLine] = []
    if path is None or not any(one.seq == event.seq for one in read_events(path, bad.append)):
        raise LunarouteError("it is in no session file")
