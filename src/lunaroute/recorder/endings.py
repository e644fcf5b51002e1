"""[io] Sessions that somebody wants ended: a file each, named by the session, between the command and the recorder.

A file is taken away once the plan that ends its session is in the journal. Ending what is over changes nothing, so it
does not matter if it is seen twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_FOLDER = "end"


def ask_to_end(recorder_dir: Path, session_id: str) -> None:
    """Leave a request for the recorder of this home. Raises OSError."""
    folder = recorder_dir / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(folder / session_id, os.O_WRONLY | os.O_CREAT, 0o600))


class EndRequests:
    """The recorder's side."""

    def __init__(self, recorder_dir: Path) -> None:
        self._folder = recorder_dir / _FOLDER

    def waiting(self) -> list[str]:
        """Session ids, in order; whatever else is in the folder is no session's and ends none."""
        try:
            return sorted(os.listdir(self._folder))
        except OSError:
            return []

    def forget(self, session_ids: Iterable[str]) -> None:
        """They are noted down."""
        for session_id in session_ids:
            with suppress(OSError):
                (self._folder / session_id).unlink()
