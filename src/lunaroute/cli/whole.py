"""Sessions with what was said in them: from here, or, where retention took that out, fetched from the archive.

In: a home and sessions. Out: a folder to read them from. What is fetched is not kept: retention deletes it for a
reason; `lunaroute archive pull` brings it back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lunaroute.archive.push import fetch, is_without_bodies
from lunaroute.archive.store import ArchiveStore
from lunaroute.config_file import load_config
from lunaroute.sinks.layout import existing_file

from .asking import sessions_dir


@contextmanager
def whole_sessions(home: Path, session_ids: Sequence[str]) -> Iterator[Path]:
    """A folder of session files, in which these are whole if the archive of the settings has them; where there is no
    archive, what is here. Raises LunarouteError, OSError."""
    here = sessions_dir(home)
    files = {session_id: existing_file(here, session_id) for session_id in session_ids}
    lacking = [session_id for session_id, path in files.items() if path is None or is_without_bodies(path)]
    url = load_config({"home": home}, os.environ).archive.url if lacking else None
    if url is None:
        yield here
        return
    store = ArchiveStore(url)
    entries = store.entries_of(lacking)
    with tempfile.TemporaryDirectory(prefix="lunaroute-") as name:
        folder = Path(name)
        for session_id, path in files.items():
            if session_id in lacking and session_id in entries:
                fetch(store, entries[session_id], folder)
            elif path is not None:
                (folder / path.parent.name).mkdir(exist_ok=True)
                (folder / path.parent.name / path.name).symlink_to(path.absolute())
        yield folder
