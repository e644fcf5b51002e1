"""A client's own little world: home, settings and project in a temporary folder, and one run of the client in it.

In: a command and its variables. Out: what it said, how it ended, what the project looks like then. Invariant: nothing
of the user's environment is inherited but the way to the system's programs; what is not loopback goes to a proxy that
is not there; a run that takes too long is ended, with everything it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.clients.catalog import NODE
from tests.support.server import NOWHERE

_TIME_LIMIT_S = 120.0
NOTES = "first note\n"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a client."""

    exit_code: int
    said: str
    """Standard output."""
    complained: str
    """Standard error."""
    project: dict[str, str]
    """{file: content} after the run."""


class Sandbox:
    """Runs see the settings and the history that earlier runs in the same sandbox left."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self._temporary = folder / "tmp"
        for path in (self.home, self.project, self._temporary):
            path.mkdir(parents=True)
        (self.project / "notes.txt").write_text(NOTES)

    def settings(self, path: str, content: str) -> None:
        """Write a settings file of the client, below its home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def run(self, command: Sequence[str | Path], variables: Mapping[str, str]) -> Ended:
        """Run to the end. Raises AssertionError when it does not come in time."""
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=self.project,
            env=self.environment() | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            said, complained = process.communicate(timeout=_TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            _end(process.pid)
            said, complained = process.communicate()
            raise AssertionError(f"{command[0]} did not end in {_TIME_LIMIT_S} s: {said!r} {complained!r}") from None
        finally:
            _end(process.pid)
        return Ended(
            exit_code=process.returncode,
            said=said.decode(errors="replace"),
            complained=complained.decode(errors="replace"),
            project={
                str(file.relative_to(self.project)): file.read_text(errors="replace")
                for file in sorted(self.project.rglob("*"))
                if file.is_file() and not any(part.startswith(".") for part in file.relative_to(self.project).parts)
            },
        )

    def environment(self) -> dict[str, str]:
        """What every client gets; telemetry and updates are off where a variable does it for several of them."""
        return {
            "PATH": os.pathsep.join([str(NODE.path.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self.home),
            "TMPDIR": str(self._temporary),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "DO_NOT_TRACK": "1",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }


def _end(group: int) -> None:
    """End what is left of the process group that `run` made."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
