"""Sessions that came back from the archive, in the index again.

In: files that are here again. Out: their rows, and their part of the sums where it is not in them already: a session
that was removed has left it there, one that lost its bodies has never taken it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.removed import removed_sessions
from lunaroute.sinks.session_file import BadLine, read_events
from lunaroute.sinks.sqlite.forget import replace_session
from lunaroute.sinks.sqlite.store import open_live, write_events


def index_restored(sessions_dir: Path, database: Path, session_ids: Iterable[str]) -> None:
    """Raises OSError, sqlite3.Error, LunarouteError at an event that the index cannot hold."""
    waiting = list(session_ids)
    if not waiting or not database.exists():  # an index that is made later finds them
        return
    removed = {one.session_id for one in removed_sessions(sessions_dir)}
    with closing(open_live(database)) as index:
        for session_id in waiting:
            path = existing_file(sessions_dir, session_id)
            if path is None:
                continue
            bad: list[BadLine] = []
            events = list(read_events(path, bad.append))
            is_known = index.execute("SELECT 1 FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
            if is_known or session_id in removed:
                replace_session(index, session_id, events)
            else:
                write_events(index, events, _refuse)


def _refuse(event: Event, reason: str) -> None:
    raise LunarouteError(f"{event.session_id} {event.seq}: {reason}")
