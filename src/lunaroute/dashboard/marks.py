"""What the user adds to recordings: stars, tags, saved views and saved queries, in one small file of its own.

The index can be made anew at any time, so none of this stands in it. Written whole, in one step.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from lunaroute.errors import FilterError, LunarouteError

FILE_NAME = "dashboard.json"
_MOST = 500
_LONGEST_NAME = 80


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    address: str
    """Path and query of a page here."""


class SavedQuery(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    statement: str


class Marks(msgspec.Struct, kw_only=True):
    stars: list[str] = []
    """Session ids, the last one starred last."""
    tags: dict[str, list[str]] = {}
    """Session id → tags."""
    views: list[SavedView] = []
    queries: list[SavedQuery] = []


class MarksFile:
    """Use it from any thread of one process."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME
        self._lock = threading.Lock()

    def read(self) -> Marks:
        """Raises LunarouteError when the file is damaged."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Marks)
        except FileNotFoundError:
            return Marks()
        except (OSError, msgspec.MsgspecError) as error:
            raise LunarouteError(f"cannot read {self._path}: {error}") from error

    def star(self, session_id: str, *, is_starred: bool) -> Marks:
        """Raises FilterError, LunarouteError."""
        with self._lock:
            marks = self.read()
            marks.stars = [one for one in marks.stars if one != session_id]
            if is_starred:
                marks.stars.append(session_id)
            return self._write(marks)

    def tag(self, session_id: str, tags: list[str]) -> Marks:
        """Raises FilterError, LunarouteError."""
        with self._lock:
            marks = self.read()
            marks.tags.pop(session_id, None)
            names = list(dict.fromkeys(name for one in tags if (name := one.strip())))
            for name in names:
                _check_name(name)
            if names:
                marks.tags[session_id] = names
            return self._write(marks)

    def save_view(self, view: SavedView) -> Marks:
        """Raises FilterError, LunarouteError."""
        _check_name(view.name)
        # Two slashes would be another host.
        if not view.address.startswith("/") or view.address.startswith(("//", "/\\")) or len(view.address) > 2000:
            raise FilterError("a view is a page of this dashboard")
        with self._lock:
            marks = self.read()
            marks.views = [*(one for one in marks.views if one.name != view.name), view]
            return self._write(marks)

    def save_query(self, query: SavedQuery) -> Marks:
        """Raises FilterError, LunarouteError."""
        _check_name(query.name)
        with self._lock:
            marks = self.read()
            marks.queries = [*(one for one in marks.queries if one.name != query.name), query]
            return self._write(marks)

    def remove(self, kind: str, name: str) -> Marks:
        """A saved view or query. Raises FilterError, LunarouteError."""
        with self._lock:
            marks = self.read()
            if kind == "views":
                marks.views = [one for one in marks.views if one.name != name]
            else:
                marks.queries = [one for one in marks.queries if one.name != name]
            return self._write(marks)

    def _write(self, marks: Marks) -> Marks:
        if max(len(marks.stars), len(marks.tags), len(marks.views), len(marks.queries)) > _MOST:
            raise FilterError(f"that is more than {_MOST} of them; remove some first")
        aside = self._path.with_name(f"{FILE_NAME}.new")
        try:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(marks), indent=2))
            os.replace(aside, self._path)
        except OSError as error:
            raise LunarouteError(f"cannot write {self._path}: {error.strerror}") from error
        return marks


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise FilterError(f"a name has 1 to {_LONGEST_NAME} characters")
