"""Sessions of another home of LunaRoute, brought into this one.

In: a home, or its folder of sessions, which is only read. Out: the same files here, byte for byte, and their rows in
the index. A session that is here already is passed over, unless the other home has more of it: it was still going on
when it was brought in before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.events.types import ResponseRecorded
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.layout import (
    COMPRESSED_SUFFIX,
    PLAIN_SUFFIX,
    compressed_path,
    existing_file,
    make_private_dir,
    plain_path,
    session_files,
)
from lunaroute.sinks.session_file import read_events
from lunaroute.sinks.sqlite.sink import SqliteSink

from .placing import written_aside
from .report import ImportReport

Progress = Callable[[int, int], None]
"""(files done, files in all)."""
_BATCH_EVENTS = 200


def import_home(root: Path, sessions_dir: Path, database: Path, *, on_progress: Progress | None = None) -> ImportReport:
    """Bring in the sessions of the home `root`. Raises LunarouteError where it is this home, has no sessions, or
    another command is at it, OSError, sqlite3.Error; what was brought in until then stays."""
    source = root / "sessions" if (root / "sessions").is_dir() else root
    if source.resolve() == sessions_dir.resolve():
        raise LunarouteError(f"{source} is this home's own")
    files = list(session_files(source))
    if not files:
        raise LunarouteError(f"there are no session files below {source}")
    report = ImportReport()
    with rewriting_alone(sessions_dir), closing(SqliteSink(database, sessions_dir)) as sink:
        sink.open()
        for done, (session_id, path) in enumerate(files, 1):
            try:
                _take(session_id, path, sessions_dir, sink, report)
            except (OSError, ValueError) as error:
                report.problems.append(f"{path}: {error}")
            report.file_count += 1
            if on_progress is not None:
                on_progress(done, len(files))
    return report


def _take(session_id: str, path: Path, sessions_dir: Path, sink: SqliteSink, report: ImportReport) -> None:
    here = existing_file(sessions_dir, session_id)
    if here is not None and not _is_continued(here, path):
        report.known_count += 1
        return
    is_compressed = path.name.endswith(COMPRESSED_SUFFIX)
    target = (compressed_path if is_compressed else plain_path)(sessions_dir, session_id)
    make_private_dir(target.parent)
    with written_aside(target) as aside:
        shutil.copyfile(path, aside)
        aside.chmod(0o600)
    report.session_count += 1
    batch: list[Event] = []
    for event in read_events(target, report.bad_lines.append):
        if event.session_id != session_id:
            continue
        report.exchange_count += isinstance(event, ResponseRecorded)
        batch.append(event)
        if len(batch) == _BATCH_EVENTS:
            sink.write_batch(batch)
            batch = []
    sink.write_batch(batch)


def _is_continued(here: Path, there: Path) -> bool:
    """Whether the plain file there begins with all of the plain file here and goes on."""
    if not (here.name.endswith(PLAIN_SUFFIX) and there.name.endswith(PLAIN_SUFFIX)):
        return False
    size_bytes = here.stat().st_size
    if there.stat().st_size <= size_bytes:
        return False
    with here.open("rb") as ours, there.open("rb") as theirs:
        while chunk := ours.read(1 << 20):
            if theirs.read(len(chunk)) != chunk:
                return False
    return True
