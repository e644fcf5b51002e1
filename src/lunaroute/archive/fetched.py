"""Sessions whose file here is gone, or has lost its bodies, read from the archive for a while.

In: a session. Out: a folder that has its file: the recordings' own, or one below `run` that lasts as long as the
process and forgets what nobody has asked for lately. Nothing is kept: retention deletes bodies for a reason, and
`lunaroute archive pull` brings them back.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from lunaroute.config import Config
from lunaroute.errors import LunarouteError
from lunaroute.sinks.layout import existing_file

from .push import fetch, is_without_bodies
from .store import ArchiveStore

_PREFIX = "fetched-"
_KEPT = 32
_KEPT_S = 600.0
_LEFT_BEHIND_S = 3600.0


class FetchedSessions:
    """Use it from any thread; `close` at the end."""

    def __init__(self, config: Config) -> None:
        self._sessions_dir = config.sessions_dir
        self._run_dir = config.run_dir
        self._url = config.archive.url
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._used_s: dict[str, float] = {}
        """Session → when it was asked for."""

    def folder_of(self, session_id: str) -> Path:
        """Where to read the session from. What the archive does not have is read as it is here. Raises LunarouteError
        where it is not here and the archive cannot be asked, OSError, ValueError."""
        here = existing_file(self._sessions_dir, session_id)
        if self._url is None or (here is not None and not is_without_bodies(here)):
            return self._sessions_dir
        with self._lock:
            self._forget_old()
            try:
                return self._fetched(self._url, session_id) or self._sessions_dir
            except LunarouteError:
                if here is None:
                    raise
                return self._sessions_dir

    def close(self) -> None:
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
                self._used_s.clear()

    def _fetched(self, url: str, session_id: str) -> Path | None:
        folder = self._folder = self._folder or self._new_folder()
        if existing_file(folder, session_id) is None:
            store = ArchiveStore(url)
            entry = store.entries_of([session_id]).get(session_id)
            if entry is None:
                return None
            fetch(store, entry, folder)
        self._used_s[session_id] = time.monotonic()
        return folder

    def _new_folder(self) -> Path:
        self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._run_dir.glob(f"{_PREFIX}*"):  # of processes that were killed
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFT_BEHIND_S:
                    shutil.rmtree(left)
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._run_dir))

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        by_age = sorted(self._used_s, key=self._used_s.__getitem__)
        beyond = set(by_age[: 1 - _KEPT])
        for session_id in by_age:
            if session_id in beyond or now_s - self._used_s[session_id] > _KEPT_S:
                del self._used_s[session_id]
                path = None if self._folder is None else existing_file(self._folder, session_id)
                if path is not None:
                    path.unlink(missing_ok=True)
